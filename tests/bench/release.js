// k6: requests to an application at a steady rate, and websockets that come back when they are sent away, until it is stopped.
// Prints a line for each answer (when it began, status, milliseconds), and for each websocket when it opened, when it ended
// and by which code, or that it never opened.
import http from "k6/http";
import { WebSocket } from "k6/websockets";

const settings = JSON.parse(open("/settings.json"));
const { RATE, WEBSOCKETS, URL } = __ENV;
// One virtual user holds so many.
const EACH = 50;
const LONG = "2h";

export const options = {
  hosts: settings.hosts,
  discardResponseBodies: true,
  scenarios: {
    requests: { executor: "constant-arrival-rate", exec: "ask", rate: Number(RATE), duration: LONG, preAllocatedVUs: 100, maxVUs: 600 },
    websockets: { executor: "per-vu-iterations", exec: "hold", vus: Math.ceil(WEBSOCKETS / EACH), maxDuration: LONG },
  },
};

export function ask() {
  const began = Date.now();
  const answer = http.get(URL, { timeout: "20s" });
  console.log(`request ${began} ${answer.status} ${Math.round(answer.timings.duration)}`);
}

function connect(user) {
  const socket = new WebSocket(settings.websocket);
  let asking;
  let opened = false;
  socket.addEventListener("open", () => {
    socket.send(JSON.stringify({ type: "auth", access_token: user.token }));
    opened = true;
    asking = setInterval(() => socket.send(JSON.stringify({ type: "ping" })), 5000);
    console.log(`websocket ${Date.now()} open`);
  });
  socket.addEventListener("close", ({ code }) => {
    clearInterval(asking);
    console.log(`websocket ${Date.now()} ${opened ? (code ?? 0) : "unopened"}`);
    // As browsers do: not all in the same instant.
    setTimeout(() => connect(user), 500 + Math.random() * 2000);
  });
  socket.addEventListener("error", () => {});
}

export function hold() {
  for (let number = 0; number < EACH; number += 1) {
    setTimeout(() => connect(settings.users[number % settings.users.length]), Math.random() * 10000);
  }
}
