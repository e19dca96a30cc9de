// k6: a steady rate of requests to one URL over few connections. Prints the percentiles that the bench reads, in milliseconds.
import http from "k6/http";
import exec from "k6/execution";
import { Trend } from "k6/metrics";

const { URL, APIKEY, RATE, SECONDS } = __ENV;
// Connections are made in this time.
const WARM_SECONDS = 3;

export const options = {
  scenarios: {
    steady: {
      executor: "constant-arrival-rate",
      rate: Number(RATE),
      duration: `${WARM_SECONDS + Number(SECONDS)}s`,
      preAllocatedVUs: 20,
      maxVUs: 20,
    },
  },
  summaryTrendStats: ["med", "p(95)", "p(99)", "count"],
  // Bodies are read and thrown away.
  discardResponseBodies: true,
};

const headers = APIKEY ? { apikey: APIKEY } : {};
const warm = new Trend("warm", true);

export default function () {
  const answer = http.get(URL, { headers });
  if (exec.instance.currentTestRunDuration > WARM_SECONDS * 1000) warm.add(answer.timings.duration);
}

export function handleSummary(data) {
  const { "p(95)": p95, "p(99)": p99, med, count } = data.metrics.warm.values;
  const failed = data.metrics.http_req_failed.values.rate;
  const dropped = data.metrics.dropped_iterations?.values.count ?? 0;
  return { stdout: JSON.stringify({ med, p95, p99, count, failed, dropped }) };
}
