// k6: a steady rate of requests to one URL, from a warm start. Prints the percentiles that the bench reads.
import http from "k6/http";

const { URL, APIKEY, RATE, SECONDS } = __ENV;

export const options = {
  scenarios: {
    steady: { executor: "constant-arrival-rate", rate: Number(RATE), duration: `${SECONDS}s`, preAllocatedVUs: 200 },
  },
  summaryTrendStats: ["med", "p(95)", "p(99)", "count"],
  // Bodies are read and thrown away.
  discardResponseBodies: true,
};

const headers = APIKEY ? { apikey: APIKEY } : {};

export default function () {
  http.get(URL, { headers });
}

export function handleSummary(data) {
  const { http_req_duration, http_req_failed, dropped_iterations } = data.metrics;
  const { "p(95)": p95, "p(99)": p99, med, count } = http_req_duration.values;
  const failed = http_req_failed.values.rate;
  return { stdout: JSON.stringify({ med, p95, p99, count, failed, dropped: dropped_iterations?.values.count ?? 0 }) };
}
