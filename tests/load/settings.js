// What tests/load/site.yml wrote for this run, and the report that every script ends with.
export const settings = JSON.parse(open(__ENV.SETTINGS));

export const common = {
  hosts: settings.hosts,
  summaryTrendStats: ["med", "p(95)", "p(99)", "max", "count"],
};

// Users in turn, so that no rate limit of a single one is met.
export function userOf(number) {
  return settings.users[number % settings.users.length];
}

export function headersOf(user) {
  return { apikey: settings.key, Authorization: `Bearer ${user.token}`, "Content-Type": "application/json" };
}

// So many iterations a second, whatever the answers take. One that could not be sent in time counts as broken.
export function steady(rate) {
  const vus = Math.max(10, rate);
  return { executor: "constant-arrival-rate", rate, duration: `${settings.size.seconds}s`, preAllocatedVUs: vus, maxVUs: vus };
}

// handleSummary: one line for a person, and one for the trend into the file RESULT.
export function report(script, trend) {
  return (data) => {
    const broken = Object.entries(data.metrics).flatMap(([name, metric]) =>
      Object.entries(metric.thresholds ?? {}).flatMap(([rule, { ok }]) => (ok ? [] : [`${name} ${rule}`])),
    );
    const { med, "p(95)": p95, "p(99)": p99, max, count } = data.metrics[trend].values;
    const { inventory, size } = settings;
    const line = { at: new Date().toISOString(), commit: __ENV.COMMIT, inventory, size: size.name, script, count, med, p95, p99, max, broken };
    const shown = `${count} answers in ms: median ${med.toFixed(1)}, p95 ${p95.toFixed(1)}, p99 ${p99.toFixed(1)}`;
    const judged = broken.length ? `too slow, or failed: ${broken.join("; ")}` : "within its limits";
    return { stdout: `    ${script}: ${shown}; ${judged}\n`, [__ENV.RESULT]: `${JSON.stringify(line)}\n` };
  };
}
