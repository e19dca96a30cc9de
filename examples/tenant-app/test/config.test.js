import assert from "node:assert/strict";
import { test } from "node:test";
import { ConfigError, browserConfig, isPrivilegedKey, readConfig } from "../server/config.js";

function jwt(claims) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${part({ alg: "HS256", typ: "JWT" })}.${part(claims)}.c2lnbmF0dXJl`;
}

const ANON = jwt({ iss: "supabase", role: "anon" });
const complete = {
  SUPABASE_URL: "http://api-gw:8000/",
  SUPABASE_PUBLIC_URL: "https://api.example.test",
  SUPABASE_ANON_KEY: ANON,
  DATABASE_URL: "postgres://tenant_app:pw@pooler:6432/postgres",
  WEBHOOK_SECRET: "0123456789abcdef",
};

function faultsOf(env, readFile) {
  try {
    readConfig(env, readFile);
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.faults;
  }
  return [];
}

test("a complete environment is taken, with defaults", () => {
  const config = readConfig(complete);
  assert.equal(config.supabaseUrl, "http://api-gw:8000");
  assert.equal(config.port, 8080);
  assert.equal(config.webhookSignatureHeader, "x-webhook-signature");
  assert.equal(config.webhookTimestampHeader, "x-webhook-timestamp");
  assert.equal(config.webhookWindowSeconds, 300);
  assert.ok(Object.isFrozen(config));
});

test("SUPABASE_PUBLIC_URL falls back to SUPABASE_URL", () => {
  const { SUPABASE_PUBLIC_URL, ...env } = complete;
  assert.equal(readConfig(env).supabasePublicUrl, "http://api-gw:8000");
});

test("a secret is read from NAME_FILE without its final newline", () => {
  const { WEBHOOK_SECRET, ...env } = complete;
  const config = readConfig({ ...env, WEBHOOK_SECRET_FILE: "/run/secrets/webhook" }, (path) => {
    assert.equal(path, "/run/secrets/webhook");
    return "fedcba9876543210\n";
  });
  assert.equal(config.webhookSecret, "fedcba9876543210");
});

test("NAME together with NAME_FILE is refused", () => {
  const faults = faultsOf({ ...complete, WEBHOOK_SECRET_FILE: "/x" }, () => "fedcba9876543210");
  assert.match(faults[0], /WEBHOOK_SECRET and WEBHOOK_SECRET_FILE are both set/);
});

test("a file that cannot be read is named with its cause", () => {
  const { DATABASE_URL, ...env } = complete;
  const faults = faultsOf({ ...env, DATABASE_URL_FILE: "/run/secrets/none" }, () => {
    throw Object.assign(new Error("no"), { code: "EACCES" });
  });
  assert.match(faults.join("\n"), /DATABASE_URL_FILE: cannot read \/run\/secrets\/none \(EACCES\)/);
});

test("every fault is reported at once", () => {
  const faults = faultsOf({ PORT: "http", LOG_LEVEL: "loud" });
  for (const name of ["SUPABASE_URL", "SUPABASE_ANON_KEY", "DATABASE_URL", "WEBHOOK_SECRET", "PORT", "LOG_LEVEL"]) {
    assert.ok(faults.some((fault) => fault.includes(name)), name);
  }
});

test("faults never repeat the value of an address or a secret", () => {
  const faults = faultsOf({ ...complete, DATABASE_URL: "canary-password@pooler", WEBHOOK_SECRET: "canary-short" });
  assert.equal(faults.length, 2);
  assert.doesNotMatch(faults.join("\n"), /canary/);
});

test("a key that bypasses row level security is not handed to browsers", () => {
  assert.ok(isPrivilegedKey(jwt({ role: "service_role" })));
  assert.ok(isPrivilegedKey("sb_secret_abcdefghijklmnopqrstuv_12345678"));
  assert.ok(!isPrivilegedKey(ANON));
  assert.ok(!isPrivilegedKey("sb_publishable_abcdefghijklmnopqrstuv_12345678"));
  assert.match(faultsOf({ ...complete, SUPABASE_ANON_KEY: jwt({ role: "service_role" }) })[0], /privileged key/);
});

test("a browser learns two values and no more", () => {
  assert.deepEqual(browserConfig(readConfig(complete)), {
    SUPABASE_URL: "https://api.example.test",
    SUPABASE_ANON_KEY: ANON,
  });
});
