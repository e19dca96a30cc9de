import { readClaims } from "./config.js";
import { errorCode } from "./log.js";
import { diffTodos } from "./todo_diff.js";

const AUTH_WITHIN_MS = 5000;
const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 15000;
const MAX_TIMER_MS = 2 ** 31 - 1;
const MAX_BUFFERED_BYTES = 4 * 1024 * 1024;

/** Close codes of this service; 4401 means: get a new token, then come back. */
export const CLOSE_UNAUTHORIZED = 4401;
export const CLOSE_BAD_MESSAGE = 4400;

/** @returns {{type: string} | undefined} undefined for anything that is not one of the two messages a client may send */
export function parseMessage(data, isBinary) {
  if (isBinary) return undefined;
  let message;
  try {
    message = JSON.parse(data.toString("utf8"));
  } catch {
    return undefined;
  }
  if (message?.type === "ping") return { type: "ping" };
  if (message?.type === "auth" && typeof message.access_token === "string") {
    return { type: "auth", accessToken: message.access_token };
  }
  return undefined;
}

/** Milliseconds until the token expires; 0 for one that says nothing or is over. */
export function tokenLifetime(token, now = Date.now()) {
  const expires = readClaims(token)?.exp;
  if (typeof expires !== "number") return 0;
  return Math.min(Math.max(expires * 1000 - now, 0), MAX_TIMER_MS);
}

/** One websocket: who it is, which tenants it watches, and what it has been shown. */
export class LiveSession {
  #socket;
  #options;
  #token;
  #userId;
  #shown = new Map();
  #stops = new Map();
  #dirty = new Set();
  #membershipsDirty = false;
  #refreshing = false;
  #retryMs = RETRY_FIRST_MS;
  #timers = {};
  #ended = false;

  constructor(socket, options) {
    this.#socket = socket;
    this.#options = options;
    this.#setTimer("auth", () => this.#close(CLOSE_UNAUTHORIZED, "no token in time"), AUTH_WITHIN_MS);
  }

  receive(data, isBinary) {
    const message = parseMessage(data, isBinary);
    if (message === undefined) this.#close(CLOSE_BAD_MESSAGE, "message not understood");
    else if (message.type === "ping") this.#send({ type: "pong" });
    else this.#authenticate(message.accessToken);
  }

  end() {
    this.#ended = true;
    this.#token = undefined;
    for (const timer of Object.values(this.#timers)) clearTimeout(timer);
    for (const stop of this.#stops.values()) stop();
    this.#stops.clear();
  }

  #setTimer(name, action, ms) {
    clearTimeout(this.#timers[name]);
    this.#timers[name] = setTimeout(action, ms);
  }

  #close(code, reason) {
    this.#socket.close(code, reason);
    this.end();
  }

  #send(message) {
    if (this.#ended) return;
    // A client that does not read must not fill this process's memory; it gets everything again when it comes back.
    if (this.#socket.bufferedAmount > MAX_BUFFERED_BYTES) this.#socket.terminate();
    else this.#socket.send(JSON.stringify(message));
    this.#options.metrics.pushes.inc();
  }

  /** First token, or a newer one of the same user. */
  async #authenticate(token) {
    const { gateway, limit, log } = this.#options;
    const lifetime = tokenLifetime(token);
    let userId;
    try {
      userId = lifetime > 0 ? await limit(() => gateway.userId(token)) : undefined;
    } catch (error) {
      if (!error.denied) {
        log.warn("websocket token could not be checked", { code: errorCode(error) });
        this.#close(1013, "try again later");
        return;
      }
    }
    if (this.#ended) return;
    if (userId === undefined || (this.#userId !== undefined && this.#userId !== userId)) {
      this.#close(CLOSE_UNAUTHORIZED, "token not accepted");
      return;
    }
    this.#token = token;
    clearTimeout(this.#timers.auth);
    this.#setTimer("expiry", () => this.#close(CLOSE_UNAUTHORIZED, "token expired"), lifetime);
    if (this.#userId === undefined) this.#begin(userId);
  }

  #begin(userId) {
    this.#userId = userId;
    this.#send({ type: "ready", user_id: userId });
    this.#watch(userId, () => {
      this.#membershipsDirty = true;
      this.#refresh();
    });
    this.#membershipsDirty = true;
    this.#refresh();
  }

  #watch(topic, listener) {
    if (!this.#stops.has(topic)) this.#stops.set(topic, this.#options.feed.subscribe(topic, listener));
  }

  /** Reads what is marked as changed; changes that arrive meanwhile are read in another round. */
  async #refresh() {
    if (this.#refreshing || this.#ended) return;
    this.#refreshing = true;
    try {
      while (!this.#ended && (this.#membershipsDirty || this.#dirty.size > 0)) await this.#readOnce();
      this.#retryMs = RETRY_FIRST_MS;
    } catch (error) {
      this.#recover(error);
    } finally {
      this.#refreshing = false;
    }
  }

  #recover(error) {
    if (this.#ended) return;
    if (error.denied) {
      this.#close(CLOSE_UNAUTHORIZED, "token not accepted");
      return;
    }
    this.#options.log.warn("live read failed", { code: errorCode(error) });
    // Spread out, so that thousands of sockets do not return to a recovering gateway at the same instant.
    const wait = this.#retryMs * (0.5 + Math.random());
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MAX_MS);
    this.#setTimer("retry", () => this.#refresh(), wait);
  }

  async #readOnce() {
    if (this.#membershipsDirty) {
      this.#membershipsDirty = false;
      await this.#marking(() => this.#readMemberships(), () => (this.#membershipsDirty = true));
      return;
    }
    const [tenantId] = this.#dirty;
    this.#dirty.delete(tenantId);
    await this.#marking(() => this.#readTodos(tenantId), () => this.#dirty.add(tenantId));
  }

  /** A read that fails leaves its mark in place, so the next round tries it again. */
  async #marking(read, mark) {
    try {
      await read();
    } catch (error) {
      mark();
      throw error;
    }
  }

  async #readMemberships() {
    const { gateway, limit } = this.#options;
    const tenantIds = new Set(await limit(() => gateway.tenantIds(this.#token)));
    if (this.#ended) return;
    for (const tenantId of this.#shown.keys()) {
      if (!tenantIds.has(tenantId)) this.#leave(tenantId);
    }
    for (const tenantId of tenantIds) {
      if (this.#stops.has(tenantId)) continue;
      this.#watch(tenantId, () => {
        this.#dirty.add(tenantId);
        this.#refresh();
      });
      this.#dirty.add(tenantId);
    }
  }

  #leave(tenantId) {
    this.#stops.get(tenantId)?.();
    this.#stops.delete(tenantId);
    this.#dirty.delete(tenantId);
    this.#shown.delete(tenantId);
    this.#send({ type: "left", tenant_id: tenantId });
  }

  async #readTodos(tenantId) {
    const { gateway, limit } = this.#options;
    const todos = await limit(() => gateway.todos(this.#token, tenantId));
    if (this.#ended || !this.#stops.has(tenantId)) return;
    const before = this.#shown.get(tenantId);
    this.#shown.set(tenantId, new Map(todos.map((todo) => [todo.id, todo])));
    if (before === undefined) {
      this.#send({ type: "snapshot", tenant_id: tenantId, todos });
      return;
    }
    for (const change of diffTodos(before, todos)) this.#send({ type: "change", tenant_id: tenantId, ...change });
  }
}
