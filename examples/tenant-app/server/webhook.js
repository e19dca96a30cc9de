import { createHmac, timingSafeEqual } from "node:crypto";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Events of the provider and the status they give a payment; all others are acknowledged and left alone. */
const STATUS_OF_EVENT = new Map([
  ["charge.pending", "pending"],
  ["charge.failed", "failed"],
  ["charge.success", "success"],
  ["refund.processed", "refunded"],
]);

/** The caller is the provider, but what it sent cannot be understood. */
export class InvalidEvent extends Error {}

function hmac(rawBody, timestamp, secret) {
  return createHmac("sha512", secret).update(`${timestamp}.`).update(rawBody).digest();
}

/**
 * @param {string} timestamp seconds since 1970; signed with the body, so that nobody can give an old call a new time
 * @returns {string} lower-case hexadecimal HMAC-SHA512 of the timestamp, a full stop and the raw body
 */
export function sign(rawBody, timestamp, secret) {
  return hmac(rawBody, timestamp, secret).toString("hex");
}

/** Compares in constant time; anything that is not 128 hexadecimal digits over a time in seconds is wrong. */
export function signatureIsValid(rawBody, { signature, timestamp }, secret) {
  if (typeof signature !== "string" || !/^[0-9a-f]{128}$/i.test(signature)) return false;
  if (typeof timestamp !== "string" || !/^[0-9]{1,11}$/.test(timestamp)) return false;
  return timingSafeEqual(hmac(rawBody, timestamp, secret), Buffer.from(signature, "hex"));
}

/** Whether a call that was signed then is accepted now: clocks may differ by the window, in both directions. */
export function isTimely(timestamp, windowSeconds, now = Date.now()) {
  return Math.abs(now / 1000 - Number(timestamp)) <= windowSeconds;
}

function requireText(value, name, maxLength) {
  if (typeof value !== "string" || value.length < 1 || value.length > maxLength) {
    throw new InvalidEvent(`${name} is missing or too long`);
  }
  return value;
}

function eventId(body) {
  if (typeof body.id === "string" || Number.isSafeInteger(body.id)) return requireText(String(body.id), "id", 200);
  const dataId = body.data.id;
  if (typeof dataId !== "string" && !Number.isSafeInteger(dataId)) throw new InvalidEvent("the event has no id");
  return requireText(`${body.event}:${dataId}`, "id", 200);
}

/**
 * @param {Buffer} rawBody a body whose signature was valid
 * @returns {object | undefined} undefined for an event that says nothing about a payment
 * @throws {InvalidEvent}
 */
export function parsePaymentEvent(rawBody) {
  let body;
  try {
    body = JSON.parse(rawBody.toString("utf8"));
  } catch {
    throw new InvalidEvent("the body is not JSON");
  }
  if (typeof body?.event !== "string") throw new InvalidEvent("the event has no name");
  const status = STATUS_OF_EVENT.get(body.event);
  if (status === undefined) return undefined;
  const data = body.data;
  if (data === null || typeof data !== "object") throw new InvalidEvent("the event has no data");
  if (!Number.isSafeInteger(data.amount) || data.amount < 0) throw new InvalidEvent("amount is not a whole number");
  if (typeof data.currency !== "string" || !/^[A-Z]{3}$/.test(data.currency)) throw new InvalidEvent("currency is not ISO 4217");
  const tenantId = data.metadata?.tenant_id;
  return {
    eventId: eventId(body),
    tenantId: typeof tenantId === "string" && UUID.test(tenantId) ? tenantId.toLowerCase() : null,
    reference: requireText(data.reference, "reference", 200),
    status,
    amountMinor: data.amount,
    currency: data.currency,
  };
}
