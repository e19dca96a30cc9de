// k6: websockets of the application, all open at a time, each signed in and asked for an answer again and again.
import exec from "k6/execution";
import { Rate, Trend } from "k6/metrics";
import { WebSocket } from "k6/websockets";
import { common, report, settings, userOf } from "./settings.js";

const { limits, size } = settings;
// One virtual user holds so many; they are opened in the first third of the time.
const EACH = 50;
const OPENING_MS = (size.seconds * 1000) / 3;
const PAUSE_MS = 5000;

const roundTrip = new Trend("round_trip", true);
const held = new Rate("held");

export const options = {
  ...common,
  scenarios: {
    websocket: { executor: "per-vu-iterations", vus: Math.ceil(size.websockets / EACH), maxDuration: `${size.seconds + 30}s` },
  },
  thresholds: {
    round_trip: [`p(95)<${limits.websocket}`],
    held: [`rate>=${1 - limits.failed}`],
  },
};

function hold(user, milliseconds) {
  const socket = new WebSocket(settings.websocket);
  let ready = false;
  let over = false;
  let sent = 0;
  let asking;
  const end = (wasHeld) => {
    if (over) return;
    over = true;
    clearInterval(asking);
    clearTimeout(ending);
    held.add(wasHeld);
    socket.close();
  };
  const ending = setTimeout(() => end(ready), milliseconds);
  const ask = () => {
    sent = Date.now();
    socket.send(JSON.stringify({ type: "ping" }));
  };
  socket.addEventListener("open", () => socket.send(JSON.stringify({ type: "auth", access_token: user.token })));
  socket.addEventListener("message", ({ data }) => {
    const { type } = JSON.parse(data);
    if (type === "pong") roundTrip.add(Date.now() - sent);
    if (type !== "ready" || ready) return;
    ready = true;
    asking = setInterval(ask, PAUSE_MS);
    ask();
  });
  socket.addEventListener("error", () => end(false));
  socket.addEventListener("close", () => end(false));
}

export default function () {
  const first = (exec.vu.idInTest - 1) * EACH;
  for (let number = first; number < Math.min(first + EACH, size.websockets); number += 1) {
    const wait = (OPENING_MS * number) / size.websockets;
    setTimeout(() => hold(userOf(number), size.seconds * 1000 - wait), wait);
  }
}

export const handleSummary = report("websocket", "round_trip");
