const API_ROUTES = new Map([
  ["/healthz", ["GET", "HEAD"]],
  ["/livez", ["GET", "HEAD"]],
  ["/metrics", ["GET", "HEAD"]],
  ["/config.json", ["GET", "HEAD"]],
  ["/ws", ["GET"]],
  ["/webhooks/payments", ["POST"]],
]);

/**
 * @param {string} method
 * @param {string} path without query
 * @param {(path: string) => boolean} isStatic
 * @returns {{route: string, status?: 404 | 405, allow?: string[]}} route is a label of fixed choice, fit for a metric
 */
export function matchRoute(method, path, isStatic) {
  const api = API_ROUTES.get(path);
  if (api === undefined && !isStatic(path)) return { route: "unknown", status: 404 };
  const allow = api ?? ["GET", "HEAD"];
  const route = api === undefined ? "static" : path;
  return allow.includes(method) ? { route } : { route, status: 405, allow };
}

const METHODS = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);

/** A caller may invent methods; a metric must not grow a series for each. */
export function methodLabel(method) {
  return METHODS.has(method) ? method : "other";
}
