import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createHttpServer } from "../server/http.js";
import { createLog } from "../server/log.js";
import { createMetrics } from "../server/metrics.js";
import { shutDown } from "../server/shutdown.js";

const silent = createLog("error", () => {});
const idle = { stop() {}, drain: async () => 0, close: async () => {}, startDraining() {} };

async function listen(graceMs) {
  const config = {
    supabasePublicUrl: "https://api.example.test",
    webhookSecret: "0123456789abcdef",
    webhookSignatureHeader: "x-webhook-signature",
    bodyLimit: 1024,
    drainDelayMs: 0,
    shutdownGraceMs: graceMs,
  };
  const server = createHttpServer({ config, files: new Map(), metrics: createMetrics(), log: silent, draining: () => false });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const stop = () => shutDown({ server, live: idle, feed: idle, database: idle, health: idle, config, log: silent });
  return { server, stop };
}

/** A request whose second half is still to come. */
async function beginRequest(server) {
  const socket = connect(server.address().port, "127.0.0.1");
  let answer = "";
  socket.on("data", (data) => (answer += data));
  socket.on("error", () => {});
  socket.write("POST /webhooks/payments HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab");
  await once(server, "request");
  return { socket, closed: once(socket, "close"), answer: () => answer };
}

test("a request in flight is answered, its connection closed, and the end is clean", async () => {
  const { server, stop } = await listen(5000);
  const request = await beginRequest(server);
  const stopped = stop();
  await sleep(50);
  assert.equal(request.answer(), "");
  request.socket.write("cd");
  assert.equal(await stopped, true);
  await request.closed;
  assert.match(request.answer(), /^HTTP\/1\.1 401 /);
  assert.match(request.answer(), /connection: close/i);
});

test("a request that never ends is cut off at the end of the grace period", async () => {
  const { server, stop } = await listen(300);
  const request = await beginRequest(server);
  const started = Date.now();
  assert.equal(await stop(), false);
  assert.ok(Date.now() - started < 2000);
  await request.closed;
});
