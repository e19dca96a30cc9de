import { STATUS_CODES } from "node:http";
import { WebSocketServer } from "ws";
import { createLimit } from "./concurrency.js";
import { LiveSession } from "./live_session.js";

const HEARTBEAT_MS = 30000;
const MAX_MESSAGE_BYTES = 16384;
const GATEWAY_READS_AT_A_TIME = 32;

function refuseUpgrade(socket, status) {
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}

/**
 * Websockets under /ws. The access token comes in the first message, never in the address, which edges and proxies log. There
 * are no cookies, so a page of another origin has nothing to ride on and the Origin header decides nothing.
 */
export class LiveHub {
  #options;
  #sockets = new WebSocketServer({ noServer: true, maxPayload: MAX_MESSAGE_BYTES, perMessageDeflate: false });
  #heartbeat;
  #draining = false;

  /** @param {{gateway: object, feed: object, metrics: object, log: object, max: number}} options */
  constructor(options) {
    this.#options = { ...options, limit: createLimit(GATEWAY_READS_AT_A_TIME) };
    this.#sockets.on("connection", (socket) => this.#welcome(socket));
    this.#heartbeat = setInterval(() => this.#beat(), HEARTBEAT_MS);
    this.#heartbeat.unref();
  }

  attach(server) {
    server.on("upgrade", (request, socket, head) => {
      socket.on("error", () => socket.destroy());
      if (request.url.split("?", 1)[0] !== "/ws") return refuseUpgrade(socket, 404);
      if (this.#draining || this.#sockets.clients.size >= this.#options.max) return refuseUpgrade(socket, 503);
      return this.#sockets.handleUpgrade(request, socket, head, (client) => this.#sockets.emit("connection", client, request));
    });
  }

  /** Asks every client to go elsewhere (1001) and resolves when all have left or the time is over. */
  async drain(timeoutMs) {
    this.#draining = true;
    clearInterval(this.#heartbeat);
    const left = [...this.#sockets.clients].map(
      (socket) =>
        new Promise((resolve) => {
          socket.once("close", resolve);
          socket.close(1001, "server is going away");
        }),
    );
    let timer;
    const late = new Promise((resolve) => {
      timer = setTimeout(resolve, timeoutMs);
    });
    await Promise.race([Promise.all(left), late]);
    clearTimeout(timer);
    for (const socket of this.#sockets.clients) socket.terminate();
    return left.length;
  }

  #welcome(socket) {
    const { metrics } = this.#options;
    metrics.websockets.inc();
    socket.isAlive = true;
    socket.on("pong", () => {
      socket.isAlive = true;
    });
    const session = new LiveSession(socket, this.#options);
    socket.on("message", (data, isBinary) => session.receive(data, isBinary));
    socket.on("error", () => socket.terminate());
    socket.on("close", () => {
      metrics.websockets.dec();
      session.end();
    });
  }

  #beat() {
    for (const socket of this.#sockets.clients) {
      if (!socket.isAlive) {
        socket.terminate();
        continue;
      }
      socket.isAlive = false;
      socket.ping();
    }
  }
}
