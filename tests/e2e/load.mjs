// A steady load of many callers, each with an API key and a token of its own, until SIGTERM and AT_LEAST requests were sent; then
// prints what came of it as JSON. CALLERS names a file with [{name, path, apikey, token}], which may grow while it runs. RATE: requests
// per second.
import { readFileSync } from "node:fs";

const { API_URL, AT_LEAST, CALLERS, RATE } = process.env;
const PAUSE = 50;
const answers = {};
let sent = 0;
let pending = 0;
let turn = 0;
let told = false;

function count(name, answer) {
  answers[name] ??= {};
  answers[name][answer] = (answers[name][answer] ?? 0) + 1;
}

async function call({ name, path, apikey, token }) {
  sent += 1;
  pending += 1;
  try {
    const headers = { apikey, ...(token && { Authorization: `Bearer ${token}` }) };
    const answer = await fetch(new URL(path, API_URL), { headers, signal: AbortSignal.timeout(30_000) });
    const body = await answer.text();
    count(name, answer.ok ? answer.status : `${answer.status} ${body.slice(0, 100)}`);
  } catch (error) {
    count(name, error.cause?.code ?? error.name);
  }
  pending -= 1;
}

let callers = [];
const reading = setInterval(() => (callers = JSON.parse(readFileSync(CALLERS, "utf8"))), 500);
const sending = setInterval(() => {
  for (let left = (RATE * PAUSE) / 1000; left > 0 && callers.length > 0; left -= 1) call(callers[turn++ % callers.length]);
}, PAUSE);

process.on("SIGTERM", async () => {
  if (told) return;
  told = true;
  while (sent < AT_LEAST) await new Promise((resolve) => setTimeout(resolve, PAUSE));
  clearInterval(sending);
  clearInterval(reading);
  while (pending > 0) await new Promise((resolve) => setTimeout(resolve, 20));
  console.log(JSON.stringify({ sent, answers }));
});
