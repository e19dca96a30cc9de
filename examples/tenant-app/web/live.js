const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 15000;
const TOKEN_REFUSED = 4401;

/**
 * Keeps one websocket to /ws open: sends the access token as its first message, comes back after a loss with growing, random
 * pauses, and asks for a new token when the server refuses the old one.
 */
export class LiveConnection {
  #readToken;
  #renewToken;
  #onMessage;
  #onState;
  #socket;
  #retryMs = RETRY_FIRST_MS;
  #timer;
  #wanted = false;

  constructor({ readToken, renewToken, onMessage, onState }) {
    this.#readToken = readToken;
    this.#renewToken = renewToken;
    this.#onMessage = onMessage;
    this.#onState = onState;
  }

  open() {
    if (this.#wanted) return;
    this.#wanted = true;
    this.#connect();
  }

  close() {
    this.#wanted = false;
    clearTimeout(this.#timer);
    this.#socket?.close(1000);
    this.#onState("off");
  }

  /** Hands a renewed token to a connection that is already open. */
  async authenticate() {
    const token = await this.#readToken();
    if (token && this.#socket?.readyState === WebSocket.OPEN) {
      this.#socket.send(JSON.stringify({ type: "auth", access_token: token }));
    }
  }

  #connect() {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}/ws`);
    this.#socket = socket;
    socket.addEventListener("open", () => this.authenticate());
    socket.addEventListener("message", (event) => {
      const message = JSON.parse(event.data);
      if (message.type === "ready") {
        this.#retryMs = RETRY_FIRST_MS;
        this.#onState("on");
      }
      this.#onMessage(message);
    });
    socket.addEventListener("close", (event) => this.#lost(socket, event.code));
  }

  async #lost(socket, code) {
    if (socket !== this.#socket) return;
    this.#onState("off");
    if (!this.#wanted) return;
    if (code === TOKEN_REFUSED && !(await this.#renewToken())) return;
    const wait = this.#retryMs * (0.5 + Math.random());
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MAX_MS);
    this.#timer = setTimeout(() => this.#wanted && this.#connect(), wait);
  }
}
