const LEVELS = { debug: 10, info: 20, warn: 30, error: 40 };

/**
 * One JSON object per line. Callers pass names and numbers, never headers, bodies, query strings or tokens.
 * @param {"debug" | "info" | "warn" | "error"} level lines below it are dropped
 * @param {(line: string) => void} write
 */
export function createLog(level = "info", write = (line) => process.stdout.write(line)) {
  const emit = (name) => (msg, fields = {}) => {
    if (LEVELS[name] < LEVELS[level]) return;
    write(`${JSON.stringify({ time: new Date().toISOString(), level: name, msg, ...fields })}\n`);
  };
  return { debug: emit("debug"), info: emit("info"), warn: emit("warn"), error: emit("error") };
}

/** What of an error may be logged: messages of drivers can repeat addresses and values, codes cannot. */
export function errorCode(error) {
  return String(error?.code ?? error?.cause?.code ?? error?.name ?? "unknown");
}
