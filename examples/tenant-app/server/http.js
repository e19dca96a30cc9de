import { createHash, randomUUID, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import { browserConfig } from "./config.js";
import { errorCode } from "./log.js";
import { matchRoute, methodLabel } from "./routes.js";
import { InvalidEvent, isTimely, parsePaymentEvent, signatureIsValid } from "./webhook.js";

const QUIET_ROUTES = new Set(["/healthz", "/livez", "/metrics"]);

const LINGER_MS = 1000;

export class BodyTooLarge extends Error {}

/** @returns {Record<string, string>} sent with every answer */
export function securityHeaders(config) {
  const api = new URL(config.supabasePublicUrl).origin;
  const policy = [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    `connect-src 'self' ${api}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ];
  return {
    "content-security-policy": policy.join("; "),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
  };
}

/** @throws {BodyTooLarge} as soon as the limit is passed, whatever the announced length; the request stays open */
export function readBody(request, limit) {
  return new Promise((resolve, reject) => {
    let chunks = [];
    let size = 0;
    request.on("data", (chunk) => {
      size += chunk.length;
      if (size <= limit) {
        chunks.push(chunk);
        return;
      }
      chunks = [];
      reject(new BodyTooLarge());
    });
    request.once("end", () => resolve(Buffer.concat(chunks)));
    request.once("error", reject);
  });
}

function digest(text) {
  return createHash("sha256").update(text).digest();
}

/**
 * With METRICS_TOKEN set, its bearer may read from anywhere. Without, only who reaches the service directly: a request that
 * came through the edge carries the headers the edge adds, and its sender cannot take them off.
 */
export function mayReadMetrics(headers, token) {
  if (token !== undefined) {
    return timingSafeEqual(digest(headers.authorization ?? ""), digest(`Bearer ${token}`));
  }
  return headers["x-forwarded-for"] === undefined && headers.forwarded === undefined;
}

/** The edge's correlation id if it looks like one, else a new one. */
export function requestId(headers) {
  const given = headers["x-request-id"];
  return typeof given === "string" && /^[A-Za-z0-9._-]{8,64}$/.test(given) ? given : randomUUID();
}

function hasBody(request) {
  return request.headers["transfer-encoding"] !== undefined || Number(request.headers["content-length"] ?? 0) > 0;
}

function sendJson(response, status, value, headers = {}) {
  const body = JSON.stringify(value);
  response.writeHead(status, {
    "content-type": "application/json; charset=utf-8",
    "content-length": Buffer.byteLength(body),
    "cache-control": "no-store",
    ...headers,
  });
  response.end(body);
}

function sendStatic(request, response, file) {
  const headers = { etag: file.etag, "cache-control": "no-cache" };
  if (request.headers["if-none-match"] === file.etag) {
    response.writeHead(304, headers).end();
    return;
  }
  response.writeHead(200, { ...headers, "content-type": file.type, "content-length": file.body.length });
  response.end(request.method === "HEAD" ? undefined : file.body);
}

/**
 * Answers at once, and throws away what still comes for a second before the connection ends: a proxy that is cut off while it sends
 * a body does not look for the answer, and its client gets 502.
 */
function refuseBody(request, response) {
  const body = JSON.stringify({ error: "body too large" });
  response.writeHead(413, {
    "content-type": "application/json; charset=utf-8",
    "content-length": Buffer.byteLength(body),
    "cache-control": "no-store",
    connection: "close",
  });
  response.write(body);
  const timer = setTimeout(() => response.end(), LINGER_MS);
  for (const event of ["end", "close", "error"]) {
    request.once(event, () => {
      clearTimeout(timer);
      response.end();
    });
  }
  request.resume();
}

async function recordEvent(context, event, signedAt, id) {
  const { database, log } = context;
  try {
    return await database.recordPaymentEvent(event, signedAt);
  } catch (error) {
    log.error("payment event not recorded", { request_id: id, code: errorCode(error) });
    return "error";
  }
}

/**
 * Status and body by result. A 5xx makes the provider deliver again; everything understood is acknowledged. "duplicate" was signed
 * anew by the provider, which did not see our first answer; "replay" is the call that we had already.
 */
const WEBHOOK_ANSWERS = {
  processed: [200, { status: "processed" }],
  duplicate: [200, { status: "duplicate" }],
  unmatched: [200, { status: "unmatched" }],
  ignored: [200, { status: "ignored" }],
  invalid: [400, { error: "invalid event" }],
  unauthorized: [401, { error: "unauthorized" }],
  stale: [401, { error: "unauthorized" }],
  replay: [409, { error: "replay" }],
  error: [503, { error: "try again later" }],
};

async function judgeWebhook(context, rawBody, { signature, timestamp }, id) {
  const { config, metrics, log } = context;
  if (!signatureIsValid(rawBody, { signature, timestamp }, config.webhookSecret)) return "unauthorized";
  if (!isTimely(timestamp, config.webhookWindowSeconds)) {
    log.warn("webhook refused", { request_id: id, reason: "its time is outside of the window" });
    return "stale";
  }
  let event;
  try {
    event = parsePaymentEvent(rawBody);
  } catch (error) {
    if (!(error instanceof InvalidEvent)) throw error;
    log.warn("webhook refused", { request_id: id, reason: error.message });
    return "invalid";
  }
  if (event === undefined) return "ignored";
  const result = await recordEvent(context, event, timestamp, id);
  if (result === "processed") metrics.payments.inc({ status: event.status });
  log.info("payment event", { request_id: id, event_id: event.eventId, payment_status: event.status, result });
  return result;
}

async function handleWebhook(context, request, response, id) {
  const rawBody = await readBody(request, context.config.bodyLimit);
  const signature = request.headers[context.config.webhookSignatureHeader];
  const timestamp = request.headers[context.config.webhookTimestampHeader];
  const result = await judgeWebhook(context, rawBody, { signature, timestamp }, id);
  context.metrics.webhooks.inc({ result });
  sendJson(response, ...WEBHOOK_ANSWERS[result]);
}

async function sendHealth(context, response) {
  const health = await context.health.read();
  sendJson(response, health.status === "ok" ? 200 : 503, health);
}

async function sendMetrics(context, request, response) {
  if (!mayReadMetrics(request.headers, context.config.metricsToken)) {
    sendJson(response, 404, { error: "not found" });
    return;
  }
  const text = await context.metrics.registry.metrics();
  response.writeHead(200, { "content-type": context.metrics.registry.contentType, "cache-control": "no-store" });
  response.end(text);
}

async function answer(context, request, response, { match, path, id }) {
  if (match.status === 404) return sendJson(response, 404, { error: "not found" });
  if (match.status === 405) return sendJson(response, 405, { error: "method not allowed" }, { allow: match.allow.join(", ") });
  switch (match.route) {
    case "/healthz":
      return sendHealth(context, response);
    case "/livez":
      return sendJson(response, 200, { status: "ok" });
    case "/metrics":
      return sendMetrics(context, request, response);
    case "/config.json":
      return sendJson(response, 200, browserConfig(context.config));
    case "/webhooks/payments":
      return handleWebhook(context, request, response, id);
    case "/ws":
      return sendJson(response, 426, { error: "upgrade required" }, { upgrade: "websocket" });
    default:
      return sendStatic(request, response, context.files.get(path));
  }
}

function answerFailure(context, request, response, error, id) {
  if (error instanceof BodyTooLarge) return refuseBody(request, response);
  if (error?.code === "ECONNRESET") return;
  context.log.error("request failed", { request_id: id, code: errorCode(error) });
  if (response.headersSent) response.destroy();
  else sendJson(response, 500, { error: "internal error" });
}

function observe(context, request, response, { match, id }) {
  const method = methodLabel(request.method);
  const stop = context.metrics.duration.startTimer({ method, route: match.route });
  response.once("close", () => {
    const seconds = stop();
    const status = response.writableFinished ? response.statusCode : 499;
    context.metrics.requests.inc({ method, route: match.route, status });
    const write = QUIET_ROUTES.has(match.route) ? context.log.debug : context.log.info;
    write("request", { request_id: id, method, route: match.route, status, ms: Math.round(seconds * 1000) });
  });
}

/**
 * @param {{config: object, files: Map<string, object>, metrics: object, health: object, database: object, log: object,
 *   draining: () => boolean}} context
 */
export function createHttpServer(context) {
  const headers = Object.entries(securityHeaders(context.config));
  const open = new Set();
  const server = createServer(async (request, response) => {
    open.add(response);
    response.once("close", () => open.delete(response));
    const path = request.url.split("?", 1)[0];
    const match = matchRoute(request.method, path, (name) => context.files.has(name));
    const id = requestId(request.headers);
    observe(context, request, response, { match, id });
    for (const [name, value] of headers) response.setHeader(name, value);
    response.setHeader("x-request-id", id);
    const takesBody = match.status === undefined && request.method === "POST";
    // An unread body would be taken for the next request; a service that is going away wants no next request.
    if (context.draining() || (hasBody(request) && !takesBody)) response.setHeader("connection", "close");
    try {
      if (Number(request.headers["content-length"] ?? 0) > context.config.bodyLimit) throw new BodyTooLarge();
      await answer(context, request, response, { match, path, id });
    } catch (error) {
      answerFailure(context, request, response, error, id);
    }
  });
  server.headersTimeout = 10000;
  server.requestTimeout = 30000;
  // Longer than the two minutes for which Caddy keeps idle connections: whoever closes first should be the edge, else it may
  // send a request into a connection that is just being closed.
  server.keepAliveTimeout = 125000;
  server.maxHeadersCount = 100;
  /** Requests that came before the drain began also tell their client not to use the connection again. */
  server.announceClose = () => {
    for (const response of open) {
      if (!response.headersSent) response.setHeader("connection", "close");
    }
  };
  return server;
}
