const TIMEOUT_MS = 5000;
const TODO_COLUMNS = "id,tenant_id,title,done,created_at,updated_at";
export const TODO_LIMIT = 200;

export class GatewayError extends Error {
  constructor(path, status) {
    super(`gateway answered ${status} on ${path}`);
    this.name = "GatewayError";
    this.code = `HTTP_${status}`;
    this.status = status;
  }

  /** The token is not (or no longer) accepted; trying again with it is useless. */
  get denied() {
    return this.status === 401 || this.status === 403;
  }
}

/** A keep-alive connection may be closed by a gateway that restarts: one more try costs nothing for a GET. */
async function fetchTwice(url, options) {
  try {
    return await fetch(url, { ...options, signal: AbortSignal.timeout(TIMEOUT_MS) });
  } catch (error) {
    if (error.name === "TimeoutError") throw error;
    return fetch(url, { ...options, signal: AbortSignal.timeout(TIMEOUT_MS) });
  }
}

/** Reads as the user whose token is given, so that row level security decides what comes back. */
export function createGateway({ url, anonKey, fetchImpl = fetchTwice }) {
  async function get(path, token) {
    const headers = { apikey: anonKey, accept: "application/json" };
    if (token !== undefined) headers.authorization = `Bearer ${token}`;
    const response = await fetchImpl(`${url}${path}`, { headers, redirect: "error" });
    if (!response.ok) {
      await response.body?.cancel();
      throw new GatewayError(path.split("?")[0], response.status);
    }
    return response.json();
  }
  return {
    async ping() {
      await get("/rest/v1/rpc/whoami");
    },
    /** @returns {Promise<string>} id of the user, by the word of the API, which checks the token's signature and age */
    async userId(token) {
      const id = await get("/rest/v1/rpc/whoami", token);
      if (typeof id !== "string") throw new GatewayError("/rest/v1/rpc/whoami", 401);
      return id;
    },
    /** @returns {Promise<string[]>} ids of the tenants the user belongs to */
    async tenantIds(token) {
      const rows = await get("/rest/v1/memberships?select=tenant_id", token);
      return rows.map((row) => row.tenant_id);
    },
    async todos(token, tenantId) {
      const query = new URLSearchParams({
        select: TODO_COLUMNS,
        tenant_id: `eq.${tenantId}`,
        order: "created_at.desc",
        limit: String(TODO_LIMIT),
      });
      return get(`/rest/v1/todos?${query}`, token);
    },
  };
}
