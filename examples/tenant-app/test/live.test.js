import assert from "node:assert/strict";
import { test } from "node:test";
import { ChangeFeed, movedTopics } from "../server/change_feed.js";
import { createLimit } from "../server/concurrency.js";
import { createHealth } from "../server/health.js";
import { createLog } from "../server/log.js";
import { createMetrics } from "../server/metrics.js";
import { parseMessage, tokenLifetime } from "../server/live_session.js";
import { diffTodos } from "../server/todo_diff.js";

const silent = createLog("error", () => {});

test("differences of two lists: deleted, added, changed, and nothing for the rest", () => {
  const before = new Map([
    ["a", { id: "a", title: "same" }],
    ["b", { id: "b", title: "old" }],
    ["c", { id: "c", title: "gone" }],
  ]);
  const after = [{ id: "a", title: "same" }, { id: "b", title: "new" }, { id: "d", title: "added" }];
  assert.deepEqual(diffTodos(before, after), [
    { op: "delete", id: "c" },
    { op: "update", todo: { id: "b", title: "new" } },
    { op: "insert", todo: { id: "d", title: "added" } },
  ]);
  assert.deepEqual(diffTodos(new Map([["a", after[0]]]), [after[0]]), []);
});

test("a topic moves when first seen and when its version differs", () => {
  const known = new Map();
  assert.deepEqual(movedTopics(["t"], known, new Map()), ["t"]);
  assert.deepEqual(movedTopics(["t"], known, new Map()), []);
  assert.deepEqual(movedTopics(["t"], known, new Map([["t", "1"]])), ["t"]);
  assert.deepEqual(movedTopics(["t"], known, new Map([["t", "1"]])), []);
});

test("one poll serves all subscribers, and no subscriber means no query", async () => {
  const versions = new Map();
  const asked = [];
  const readVersions = async (topics) => {
    asked.push(topics);
    return versions;
  };
  const feed = new ChangeFeed({ readVersions, intervalMs: 1000, log: silent });
  await feed.poll();
  assert.equal(asked.length, 0);
  let heard = 0;
  const stops = [feed.subscribe("t", () => (heard += 1)), feed.subscribe("t", () => (heard += 1))];
  await feed.poll();
  versions.set("t", "7");
  await feed.poll();
  await feed.poll();
  assert.equal(heard, 4);
  assert.deepEqual(asked, [["t"], ["t"], ["t"]]);
  for (const stop of stops) stop();
  await feed.poll();
  assert.equal(asked.length, 3);
});

test("a client may say two things", () => {
  const parse = (text, isBinary = false) => parseMessage(Buffer.from(text), isBinary);
  assert.deepEqual(parse('{"type":"ping"}'), { type: "ping" });
  assert.deepEqual(parse('{"type":"auth","access_token":"t","more":1}'), { type: "auth", accessToken: "t" });
  for (const text of ["", "null", "[]", "{", '{"type":"auth"}', '{"type":"auth","access_token":1}', '{"type":"x"}']) {
    assert.equal(parse(text), undefined, text);
  }
  assert.equal(parse('{"type":"ping"}', true), undefined);
});

test("the lifetime of a token comes from its exp, and is 0 without one", () => {
  const token = (claims) => `e30.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.x`;
  assert.equal(tokenLifetime(token({ exp: 100 }), 40000), 60000);
  assert.equal(tokenLifetime(token({ exp: 100 }), 140000), 0);
  assert.equal(tokenLifetime(token({}), 0), 0);
  assert.equal(tokenLifetime("not a token", 0), 0);
  assert.ok(tokenLifetime(token({ exp: 1e12 }), 0) < 2 ** 31);
});

test("no more tasks at a time than the limit, in order, and a failure frees its place", async () => {
  const limit = createLimit(2);
  let running = 0;
  let most = 0;
  const order = [];
  const task = (n) => async () => {
    running += 1;
    most = Math.max(most, running);
    await new Promise((resolve) => setTimeout(resolve, 2));
    running -= 1;
    order.push(n);
    if (n === 1) throw new Error("no");
  };
  const results = await Promise.allSettled([0, 1, 2, 3, 4].map((n) => limit(task(n))));
  assert.equal(most, 2);
  assert.deepEqual(order, [0, 1, 2, 3, 4]);
  assert.equal(results.filter((result) => result.status === "rejected").length, 1);
});

test("health asks its dependencies once in two seconds and says which is down", async () => {
  let now = 0;
  let asked = 0;
  let broken = false;
  const check = async () => {
    asked += 1;
    if (broken) throw new Error("refused");
  };
  const health = createHealth({ checks: { database: check }, metrics: createMetrics(), log: silent, now: () => now });
  assert.deepEqual(await health.read(), { status: "ok", checks: { database: "ok" } });
  broken = true;
  assert.equal((await health.read()).status, "ok");
  assert.equal(asked, 1);
  now = 2001;
  assert.deepEqual(await health.read(), { status: "down", checks: { database: "down" } });
  broken = false;
  now = 5000;
  health.startDraining();
  assert.equal((await health.read()).status, "draining");
});
