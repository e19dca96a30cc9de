import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from "prom-client";

export const PAYMENT_STATUSES = ["pending", "failed", "success", "refunded"];
export const WEBHOOK_RESULTS = [
  "processed",
  "duplicate",
  "unmatched",
  "ignored",
  "invalid",
  "unauthorized",
  "stale",
  "replay",
  "error",
];

export function createMetrics() {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const metrics = {
    registry,
    requests: new Counter({
      name: "http_requests_total",
      help: "HTTP requests answered",
      labelNames: ["method", "route", "status"],
      registers,
    }),
    duration: new Histogram({
      name: "http_request_duration_seconds",
      help: "Time from request to the end of the response",
      labelNames: ["method", "route"],
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 5],
      registers,
    }),
    payments: new Counter({
      name: "payments_total",
      help: "Payment events recorded, by the payment's status",
      labelNames: ["status"],
      registers,
    }),
    webhooks: new Counter({
      name: "webhooks_total",
      help: "Webhook calls received, by result",
      labelNames: ["result"],
      registers,
    }),
    websockets: new Gauge({ name: "websocket_connections", help: "Websockets open now", registers }),
    pushes: new Counter({ name: "websocket_messages_sent_total", help: "Messages pushed to websockets", registers }),
    dependency: new Gauge({
      name: "dependency_up",
      help: "1 when the dependency answered its last check",
      labelNames: ["dependency"],
      registers,
    }),
  };
  // Series that start at 0: a rate over a counter that appears with its first failure would miss that failure.
  for (const status of PAYMENT_STATUSES) metrics.payments.inc({ status }, 0);
  for (const result of WEBHOOK_RESULTS) metrics.webhooks.inc({ result }, 0);
  return metrics;
}
