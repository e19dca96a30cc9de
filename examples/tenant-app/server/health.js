import { errorCode } from "./log.js";

const MAX_AGE_MS = 2000;
const TIMEOUT_MS = 3500;

function withTimeout(promise) {
  let timer;
  const timeout = new Promise((_, reject) => {
    timer = setTimeout(() => reject(Object.assign(new Error("timeout"), { code: "TIMEOUT" })), TIMEOUT_MS);
  });
  return Promise.race([promise, timeout]).finally(() => clearTimeout(timer));
}

/**
 * Asks every dependency, at most once in two seconds: the endpoint is public, the database should not feel it.
 * @param {Record<string, () => Promise<void>>} checks
 */
export function createHealth({ checks, metrics, log, now = Date.now }) {
  let last;
  let lastAt = -Infinity;
  let draining = false;
  const up = {};

  async function ask(name, check) {
    let ok = true;
    try {
      await withTimeout(check());
    } catch (error) {
      ok = false;
      if (up[name] !== false) log.warn("dependency is down", { dependency: name, code: errorCode(error) });
    }
    if (ok && up[name] === false) log.info("dependency is back", { dependency: name });
    up[name] = ok;
    metrics.dependency.set({ dependency: name }, ok ? 1 : 0);
    return [name, ok ? "ok" : "down"];
  }

  return {
    startDraining() {
      draining = true;
    },
    /** @returns {Promise<{status: "ok" | "down" | "draining", checks: Record<string, string>}>} */
    async read() {
      if (last === undefined || now() - lastAt > MAX_AGE_MS) {
        lastAt = now();
        last = Promise.all(Object.entries(checks).map(([name, check]) => ask(name, check)));
      }
      const results = Object.fromEntries(await last);
      const ok = Object.values(results).every((result) => result === "ok");
      return { status: draining ? "draining" : ok ? "ok" : "down", checks: results };
    },
  };
}
