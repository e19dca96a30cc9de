import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { Readable } from "node:stream";
import { after, before, test } from "node:test";
import { BodyTooLarge, createHttpServer, mayReadMetrics, readBody, requestId, securityHeaders } from "../server/http.js";
import { createLog } from "../server/log.js";
import { createMetrics } from "../server/metrics.js";
import { matchRoute, methodLabel } from "../server/routes.js";
import { sign } from "../server/webhook.js";

const config = {
  supabasePublicUrl: "https://api.example.test/",
  supabaseAnonKey: "anon",
  webhookSecret: "canary-0123456789",
  webhookSignatureHeader: "x-webhook-signature",
  webhookTimestampHeader: "x-webhook-timestamp",
  webhookWindowSeconds: 300,
  bodyLimit: 1024,
};
const page = { body: Buffer.from("<!doctype html>"), type: "text/html; charset=utf-8", etag: '"1"' };
const lines = [];
const recorded = [];
let server;
let base;
let draining = false;

before(async () => {
  server = createHttpServer({
    config,
    files: new Map([["/", page]]),
    metrics: createMetrics(),
    database: {
      recordPaymentEvent: async (event, signedAt) => {
        if (recorded.some(([id, time]) => id === event.eventId && time === signedAt)) return "replay";
        return recorded.push([event.eventId, signedAt]) && "processed";
      },
    },
    health: { read: async () => ({ status: draining ? "draining" : "ok", checks: {} }) },
    log: createLog("debug", (line) => lines.push(line)),
    draining: () => draining,
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  base = `http://127.0.0.1:${server.address().port}`;
});

after(() => server.closeAllConnections() ?? server.close());

test("routes: path and method decide, the label is one of a fixed set", () => {
  const isStatic = (path) => path === "/";
  assert.deepEqual(matchRoute("GET", "/healthz", isStatic), { route: "/healthz" });
  assert.deepEqual(matchRoute("GET", "/", isStatic), { route: "static" });
  assert.equal(matchRoute("GET", "/../etc/passwd", isStatic).status, 404);
  assert.deepEqual(matchRoute("GET", "/webhooks/payments", isStatic).allow, ["POST"]);
  assert.equal(matchRoute("TRACE", "/", isStatic).status, 405);
  assert.equal(matchRoute("GET", "/never/seen", isStatic).route, "unknown");
  assert.equal(methodLabel("BREW"), "other");
});

test("every answer carries the security headers and a request id", async () => {
  for (const path of ["/", "/healthz", "/nothing", "/config.json"]) {
    const response = await fetch(base + path);
    await response.arrayBuffer();
    for (const [name, value] of Object.entries(securityHeaders(config))) assert.equal(response.headers.get(name), value, path);
    assert.ok(response.headers.get("x-request-id"));
  }
});

test("the page may talk to itself and the public API, to nobody else", () => {
  assert.match(securityHeaders(config)["content-security-policy"], /connect-src 'self' https:\/\/api\.example\.test;/);
  assert.doesNotMatch(securityHeaders(config)["content-security-policy"], /unsafe|\*/);
});

test("a correlation id is kept only if it is harmless", () => {
  assert.equal(requestId({ "x-request-id": "edge-12345" }), "edge-12345");
  assert.notEqual(requestId({ "x-request-id": 'x"\n{"level"' }), 'x"\n{"level"');
});

test("unknown path 404, wrong method 405 with Allow, /ws without upgrade 426", async () => {
  assert.equal((await fetch(`${base}/nothing`)).status, 404);
  const wrong = await fetch(`${base}/webhooks/payments`);
  assert.equal(wrong.status, 405);
  assert.equal(wrong.headers.get("allow"), "POST");
  assert.equal((await fetch(`${base}/ws`)).status, 426);
});

test("an unchanged page is not sent again", async () => {
  assert.equal((await fetch(base, { headers: { "if-none-match": '"1"' } })).status, 304);
});

test("an unsigned webhook gets 401 without details", async () => {
  const response = await fetch(`${base}/webhooks/payments`, { method: "POST", body: "{}" });
  assert.equal(response.status, 401);
  assert.deepEqual(await response.json(), { error: "unauthorized" });
});

test("a body over the limit gets 413, announced or not", async () => {
  const post = (body) => fetch(`${base}/webhooks/payments`, { method: "POST", body, duplex: "half" });
  assert.equal((await post("x".repeat(1025))).status, 413);
  const stream = new ReadableStream({
    start(controller) {
      for (let i = 0; i < 3; i += 1) controller.enqueue(new Uint8Array(512));
      controller.close();
    },
  });
  assert.equal((await post(stream)).status, 413);
  const halves = () => Readable.from([Buffer.alloc(8), Buffer.alloc(8)]);
  await assert.rejects(readBody(halves(), 15), BodyTooLarge);
  assert.equal((await readBody(halves(), 16)).length, 16);
});

test("a body over the limit is refused before it is there, and the answer arrives", async () => {
  const heads = ["Content-Length: 1025\r\n\r\n", `Transfer-Encoding: chunked\r\n\r\n800\r\n${"x".repeat(2048)}\r\n`];
  for (const head of heads) {
    const socket = connect(server.address().port, "127.0.0.1");
    socket.write(`POST /webhooks/payments HTTP/1.1\r\nHost: x\r\n${head}`);
    assert.match(String((await once(socket, "data"))[0]), /^HTTP\/1\.1 413 [^]*body too large/, head.slice(0, 20));
    // Not kept open for ever, though the body never ends.
    await once(socket, "close");
  }
});

test("a signed webhook passes once; outside of the window, or again, it does not", async () => {
  const call = async (timestamp, id = 7) => {
    const body = `{"event":"charge.success","data":{"id":${id},"reference":"r-1","amount":1,"currency":"NGN"}}`;
    const headers = { "x-webhook-signature": sign(body, timestamp, config.webhookSecret), "x-webhook-timestamp": timestamp };
    return (await fetch(`${base}/webhooks/payments`, { method: "POST", body, headers })).status;
  };
  const now = Math.floor(Date.now() / 1000);
  assert.equal(await call(`${now - 310}`), 401);
  assert.equal(await call(`${now + 310}`), 401);
  assert.deepEqual(recorded, []);
  assert.equal(await call(`${now}`), 200);
  assert.equal(await call(`${now}`), 409);
  assert.equal(await call(`${now}`, 8), 200);
  assert.equal(recorded.length, 2);
});

test("metrics: with a token for its bearer, without one only on the direct way", async () => {
  assert.ok(mayReadMetrics({ authorization: "Bearer secret" }, "secret"));
  assert.ok(!mayReadMetrics({ authorization: "Bearer wrong" }, "secret"));
  assert.ok(!mayReadMetrics({}, "secret"));
  assert.ok(mayReadMetrics({}, undefined));
  assert.ok(!mayReadMetrics({ "x-forwarded-for": "203.0.113.9" }, undefined));
  assert.equal((await fetch(`${base}/metrics`, { headers: { "x-forwarded-for": "203.0.113.9" } })).status, 404);
  const text = await (await fetch(`${base}/metrics`)).text();
  assert.match(text, /http_requests_total\{method="POST",route="\/webhooks\/payments",status="401"\} 3/);
  assert.match(text, /webhooks_total\{result="unauthorized"\} 1/);
  assert.match(text, /webhooks_total\{result="stale"\} 2/);
  assert.match(text, /webhooks_total\{result="replay"\} 1/);
  assert.match(text, /payments_total\{status="failed"\} 0/);
  assert.match(text, /websocket_connections 0/);
});

test("while draining: healthz 503, connections are not kept", async () => {
  draining = true;
  try {
    const response = await fetch(`${base}/healthz`);
    assert.equal(response.status, 503);
    assert.equal(response.headers.get("connection"), "close");
  } finally {
    draining = false;
  }
});

test("logs are JSON lines without query strings or secrets", async () => {
  await fetch(`${base}/healthz?token=canary-token`, { headers: { authorization: "Bearer canary-bearer" } });
  for (const line of lines) assert.equal(typeof JSON.parse(line).msg, "string");
  assert.doesNotMatch(lines.join(""), /canary/);
});
