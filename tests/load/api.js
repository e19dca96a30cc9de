// k6: the shortest call that goes all the way, through edge, gateway, REST and pooler to the database and back.
import http from "k6/http";
import exec from "k6/execution";
import { check } from "k6";
import { common, headersOf, report, settings, steady, userOf } from "./settings.js";

const { limits, size } = settings;

export const options = {
  ...common,
  scenarios: { api: steady(size.api) },
  thresholds: {
    http_req_duration: [`p(95)<${limits.api}`],
    http_req_failed: [`rate<=${limits.failed}`],
    checks: [`rate>=${1 - limits.failed}`],
    dropped_iterations: [`count<=${limits.failed * size.api * size.seconds}`],
  },
};

export default function () {
  const user = userOf(exec.scenario.iterationInTest);
  const answer = http.get(`${settings.api}/rest/v1/rpc/whoami`, { headers: headersOf(user) });
  check(answer, { "it is this user": () => answer.body === JSON.stringify(user.id) });
}

export const handleSummary = report("api", "http_req_duration");
