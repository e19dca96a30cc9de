import assert from "node:assert/strict";
import { test } from "node:test";
import { InvalidEvent, parsePaymentEvent, sign, signatureIsValid } from "../server/webhook.js";

const SECRET = "0123456789abcdef";
const TENANT = "6f1f64a2-51b4-4f0e-9d27-0d7a3a1f8f10";
const charge = {
  event: "charge.success",
  data: { id: 302961, reference: "r-1", amount: 4500, currency: "NGN", metadata: { tenant_id: TENANT } },
};
const parse = (value) => parsePaymentEvent(Buffer.from(typeof value === "string" ? value : JSON.stringify(value)));

test("HMAC-SHA512 agrees with RFC 4231, test case 2", () => {
  assert.equal(
    sign("what do ya want for nothing?", "Jefe"),
    "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554" +
      "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
  );
});

test("the right signature passes, in either case of letters", () => {
  const body = Buffer.from(JSON.stringify(charge));
  assert.ok(signatureIsValid(body, sign(body, SECRET), SECRET));
  assert.ok(signatureIsValid(body, sign(body, SECRET).toUpperCase(), SECRET));
});

test("everything else does not", () => {
  const body = Buffer.from(JSON.stringify(charge));
  const good = sign(body, SECRET);
  assert.ok(!signatureIsValid(Buffer.from(`${body} `), good, SECRET), "body changed by one byte");
  assert.ok(!signatureIsValid(body, good, `${SECRET}x`), "another secret");
  for (const wrong of [undefined, "", "0".repeat(128), good.slice(0, 127), `${good}0`, `${good.slice(0, 127)}g`, [good]]) {
    assert.ok(!signatureIsValid(body, wrong, SECRET), String(wrong));
  }
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
