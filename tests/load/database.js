// k6: units of work in the database, as users do them: a row is added, changed, found among the newest, and deleted, under row level
// security and with all triggers. Nothing but the API can reach the database from another host.
import http from "k6/http";
import exec from "k6/execution";
import { check } from "k6";
import { common, headersOf, report, settings, steady, userOf } from "./settings.js";

const { limits, size } = settings;
const todos = `${settings.api}/rest/v1/todos`;

export const options = {
  ...common,
  scenarios: { database: steady(size.database) },
  thresholds: {
    http_req_duration: [`p(95)<${limits.database}`],
    http_req_failed: [`rate<=${limits.failed}`],
    checks: [`rate>=${1 - limits.failed}`],
    dropped_iterations: [`count<=${limits.failed * size.database * size.seconds}`],
  },
};

export default function () {
  const user = userOf(exec.scenario.iterationInTest);
  const headers = headersOf(user);
  const row = JSON.stringify({ tenant_id: user.id, title: "load" });
  const added = http.post(todos, row, { headers: { ...headers, Prefer: "return=representation" } });
  if (!check(added, { "it is added": () => added.status === 201 })) return;
  const { id } = added.json()[0];
  http.patch(`${todos}?id=eq.${id}`, JSON.stringify({ done: true }), { headers });
  const newest = http.get(`${todos}?select=id,done&order=created_at.desc&limit=20`, { headers });
  check(newest, { "it is found changed": () => newest.json().some((found) => found.id === id && found.done) });
  http.del(`${todos}?id=eq.${id}`, null, { headers });
}

export const handleSummary = report("database", "http_req_duration");
