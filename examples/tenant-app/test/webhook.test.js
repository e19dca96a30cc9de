import assert from "node:assert/strict";
import { test } from "node:test";
import { InvalidEvent, isTimely, parsePaymentEvent, sign, signatureIsValid } from "../server/webhook.js";

const SECRET = "0123456789abcdef";
const TIME = "1790000000";
const TENANT = "6f1f64a2-51b4-4f0e-9d27-0d7a3a1f8f10";
const charge = {
  event: "charge.success",
  data: { id: 302961, reference: "r-1", amount: 4500, currency: "NGN", metadata: { tenant_id: TENANT } },
};
const parse = (value) => parsePaymentEvent(Buffer.from(typeof value === "string" ? value : JSON.stringify(value)));

test("what is signed is the time, a full stop and the body", () => {
  // printf '1790000000.{"a":1}' | openssl dgst -sha512 -hmac 0123456789abcdef
  assert.equal(
    sign('{"a":1}', TIME, SECRET),
    "ff37d9c4a108d081e7ee31e3a0c8f6a3c56749416e1ae27b70ce5cc055a18305" +
      "c10659adc50f880981c5f59c745e6093dabb280f5908697cdf58a6ca8d669d97",
  );
});

test("the right signature passes, in either case of letters", () => {
  const body = Buffer.from(JSON.stringify(charge));
  const signature = sign(body, TIME, SECRET);
  assert.ok(signatureIsValid(body, { signature, timestamp: TIME }, SECRET));
  assert.ok(signatureIsValid(body, { signature: signature.toUpperCase(), timestamp: TIME }, SECRET));
});

test("everything else does not", () => {
  const body = Buffer.from(JSON.stringify(charge));
  const good = sign(body, TIME, SECRET);
  const valid = ({ body: sent = body, secret = SECRET, ...changed }) =>
    signatureIsValid(sent, { signature: good, timestamp: TIME, ...changed }, secret);
  assert.ok(valid({}));
  assert.ok(!valid({ body: Buffer.from(`${body} `) }), "body changed by one byte");
  assert.ok(!valid({ secret: `${SECRET}x` }), "another secret");
  for (const signature of [undefined, "", "0".repeat(128), good.slice(0, 127), `${good}0`, `${good.slice(0, 127)}g`, [good]]) {
    assert.ok(!valid({ signature }), String(signature));
  }
  for (const timestamp of [undefined, "", "1790000001", "now", `${TIME}, ${TIME}`, `${TIME}.`, [TIME]]) {
    assert.ok(!valid({ timestamp }), String(timestamp));
  }
  for (const timestamp of ["", "now", "-1", "1e9"]) {
    assert.ok(!valid({ timestamp, signature: sign(body, timestamp, SECRET) }), `signed, and no time: ${timestamp}`);
  }
});

test("a call is timely for as long as the window, before and after", () => {
  const now = Number(TIME) * 1000;
  for (const seconds of [-300, 0, 300]) assert.ok(isTimely(TIME, 300, now + seconds * 1000), seconds);
  for (const seconds of [-301, 301]) assert.ok(!isTimely(TIME, 300, now + seconds * 1000), seconds);
});

test("a charge becomes an event with an id made of its name and number", () => {
  assert.deepEqual(parse(charge), {
    eventId: "charge.success:302961",
    tenantId: TENANT,
    reference: "r-1",
    status: "success",
    amountMinor: 4500,
    currency: "NGN",
  });
});

test("an id of the event itself is preferred", () => {
  assert.equal(parse({ ...charge, id: "evt_1" }).eventId, "evt_1");
});

test("events that say nothing about a payment are left alone", () => {
  assert.equal(parse({ event: "customer.created", data: {} }), undefined);
});

test("a tenant that is missing or no UUID is null, not an error", () => {
  assert.equal(parse({ ...charge, data: { ...charge.data, metadata: undefined } }).tenantId, null);
  assert.equal(parse({ ...charge, data: { ...charge.data, metadata: { tenant_id: "' or true" } } }).tenantId, null);
});

test("what cannot be understood is refused", () => {
  const withData = (data) => ({ ...charge, data: { ...charge.data, ...data } });
  const wrong = [
    "{",
    "null",
    "[]",
    { event: "charge.success" },
    withData({ amount: 1.5 }),
    withData({ amount: -1 }),
    withData({ amount: "4500" }),
    withData({ currency: "naira" }),
    withData({ reference: "" }),
    withData({ reference: "r".repeat(201) }),
    withData({ id: undefined }),
  ];
  for (const value of wrong) assert.throws(() => parse(value), InvalidEvent, JSON.stringify(value));
});
