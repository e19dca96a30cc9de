import { readFileSync } from "node:fs";

/** Every fault of the environment at once, so that an operator fixes them in one round. */
export class ConfigError extends Error {
  constructor(faults) {
    super(`configuration refused:\n${faults.map((fault) => `- ${fault}`).join("\n")}`);
    this.name = "ConfigError";
    this.faults = faults;
  }
}

const LOG_LEVELS = ["debug", "info", "warn", "error"];
const MIN_SECRET_LENGTH = 16;

/**
 * Reads NAME, or the file that NAME_FILE points to (without its final newline).
 * @returns {string | undefined} undefined when neither is set or the value is empty
 */
export function readSetting(env, name, readFile, faults) {
  const direct = env[name];
  const path = env[`${name}_FILE`];
  if (direct && path) {
    faults.push(`${name} and ${name}_FILE are both set; keep one`);
    return undefined;
  }
  if (!path) return direct || undefined;
  try {
    return readFile(path).replace(/\r?\n$/, "") || undefined;
  } catch (error) {
    faults.push(`${name}_FILE: cannot read ${path} (${error.code ?? "error"})`);
    return undefined;
  }
}

function readNumber(env, name, fallback, { min, max }, faults) {
  const text = env[name];
  if (text === undefined || text === "") return fallback;
  const value = Number(text);
  if (!Number.isInteger(value) || value < min || value > max) {
    faults.push(`${name}: "${text}" is not a whole number from ${min} to ${max}`);
    return fallback;
  }
  return value;
}

function checkUrl(name, value, schemes, faults) {
  if (value === undefined) {
    faults.push(`${name} is required`);
    return undefined;
  }
  let url;
  try {
    url = new URL(value);
  } catch {
    // The value is not repeated: a database address carries a password.
    faults.push(`${name} is not an address; expected ${schemes.join(" or ")}//host`);
    return undefined;
  }
  if (!schemes.includes(url.protocol)) {
    faults.push(`${name} has scheme "${url.protocol}"; expected ${schemes.join(" or ")}`);
  }
  return value.replace(/\/+$/, "");
}

/** True for a key that bypasses row level security and so must never reach a browser. */
export function isPrivilegedKey(key) {
  if (key.startsWith("sb_secret_")) return true;
  const claims = readClaims(key);
  return claims !== undefined && claims.role !== undefined && claims.role !== "anon";
}

/** Claims of a JWT, unverified; undefined when the text is not a JWT. */
export function readClaims(token) {
  const parts = token.split(".");
  if (parts.length !== 3) return undefined;
  try {
    const claims = JSON.parse(Buffer.from(parts[1], "base64url").toString("utf8"));
    return claims !== null && typeof claims === "object" ? claims : undefined;
  } catch {
    return undefined;
  }
}

function checkAnonKey(key, faults) {
  if (key === undefined) {
    faults.push("SUPABASE_ANON_KEY is required");
  } else if (isPrivilegedKey(key)) {
    faults.push("SUPABASE_ANON_KEY is a privileged key, and this service hands it to browsers; use the anon or publishable key");
  }
}

function checkSecret(name, value, required, faults) {
  if (value === undefined) {
    if (required) faults.push(`${name} is required`);
  } else if (value.length < MIN_SECRET_LENGTH) {
    faults.push(`${name} has ${value.length} characters; at least ${MIN_SECRET_LENGTH} are needed`);
  }
}

function checkHeaderName(name, value, faults) {
  if (!/^[a-z0-9-]+$/.test(value)) faults.push(`${name}: "${value}" is not a header name`);
  return value;
}

/**
 * @param {Record<string, string | undefined>} env
 * @param {(path: string) => string} readFile
 * @throws {ConfigError}
 */
export function readConfig(env, readFile = (path) => readFileSync(path, "utf8")) {
  const faults = [];
  const setting = (name) => readSetting(env, name, readFile, faults);
  const number = (name, fallback, range) => readNumber(env, name, fallback, range, faults);

  const supabaseUrl = checkUrl("SUPABASE_URL", setting("SUPABASE_URL"), ["http:", "https:"], faults);
  const publicUrl = setting("SUPABASE_PUBLIC_URL") ?? supabaseUrl;
  const config = {
    host: env.HOST || "0.0.0.0",
    port: number("PORT", 8080, { min: 0, max: 65535 }),
    supabaseUrl,
    supabasePublicUrl: publicUrl && checkUrl("SUPABASE_PUBLIC_URL", publicUrl, ["http:", "https:"], faults),
    supabaseAnonKey: setting("SUPABASE_ANON_KEY"),
    databaseUrl: checkUrl("DATABASE_URL", setting("DATABASE_URL"), ["postgres:", "postgresql:"], faults),
    databasePoolMax: number("DATABASE_POOL_MAX", 5, { min: 1, max: 100 }),
    webhookSecret: setting("WEBHOOK_SECRET"),
    webhookSignatureHeader: checkHeaderName(
      "WEBHOOK_SIGNATURE_HEADER",
      (env.WEBHOOK_SIGNATURE_HEADER || "x-webhook-signature").toLowerCase(),
      faults,
    ),
    webhookTimestampHeader: checkHeaderName(
      "WEBHOOK_TIMESTAMP_HEADER",
      (env.WEBHOOK_TIMESTAMP_HEADER || "x-webhook-timestamp").toLowerCase(),
      faults,
    ),
    webhookWindowSeconds: number("WEBHOOK_WINDOW_SECONDS", 300, { min: 10, max: 3600 }),
    metricsToken: setting("METRICS_TOKEN"),
    bodyLimit: number("BODY_LIMIT_BYTES", 65536, { min: 1024, max: 10485760 }),
    websocketMax: number("WEBSOCKET_MAX", 10000, { min: 1, max: 100000 }),
    changePollMs: number("CHANGE_POLL_MS", 500, { min: 50, max: 60000 }),
    drainDelayMs: number("DRAIN_DELAY_MS", 0, { min: 0, max: 60000 }),
    shutdownGraceMs: number("SHUTDOWN_GRACE_MS", 8000, { min: 100, max: 300000 }),
    logLevel: env.LOG_LEVEL || "info",
  };
  checkAnonKey(config.supabaseAnonKey, faults);
  checkSecret("WEBHOOK_SECRET", config.webhookSecret, true, faults);
  checkSecret("METRICS_TOKEN", config.metricsToken, false, faults);
  if (!LOG_LEVELS.includes(config.logLevel)) {
    faults.push(`LOG_LEVEL: "${config.logLevel}" is not one of ${LOG_LEVELS.join(", ")}`);
  }
  if (faults.length > 0) throw new ConfigError(faults);
  return Object.freeze(config);
}

/** All that a browser gets to know. */
export function browserConfig(config) {
  return { SUPABASE_URL: config.supabasePublicUrl, SUPABASE_ANON_KEY: config.supabaseAnonKey };
}
