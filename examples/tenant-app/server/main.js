import { fileURLToPath } from "node:url";
import { ChangeFeed } from "./change_feed.js";
import { ConfigError, readConfig } from "./config.js";
import { createDatabase } from "./database.js";
import { createGateway } from "./gateway.js";
import { createHealth } from "./health.js";
import { createHttpServer } from "./http.js";
import { LiveHub } from "./live.js";
import { createLog, errorCode } from "./log.js";
import { createMetrics } from "./metrics.js";
import { shutDown } from "./shutdown.js";
import { loadStaticFiles } from "./static_files.js";

function start(config, log) {
  const metrics = createMetrics();
  const database = createDatabase({ url: config.databaseUrl, max: config.databasePoolMax, log });
  const gateway = createGateway({ url: config.supabaseUrl, anonKey: config.supabaseAnonKey });
  const health = createHealth({
    checks: { database: () => database.ping(), gateway: () => gateway.ping() },
    metrics,
    log,
  });
  const feed = new ChangeFeed({
    readVersions: (topics) => database.readVersions(topics),
    intervalMs: config.changePollMs,
    log,
  });
  const live = new LiveHub({ gateway, feed, metrics, log, max: config.websocketMax });
  const files = loadStaticFiles(fileURLToPath(new URL("../dist", import.meta.url)));
  let draining = false;
  const server = createHttpServer({ config, files, metrics, health, database, log, draining: () => draining });
  live.attach(server);
  feed.start();
  server.listen(config.port, config.host, () => log.info("listening", { port: server.address().port }));

  const stop = async (signal) => {
    if (draining) return;
    draining = true;
    log.info("signal", { signal });
    const clean = await shutDown({ server, live, feed, database, health, config, log });
    process.exit(clean ? 0 : 1);
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
}

try {
  const config = readConfig(process.env);
  const log = createLog(config.logLevel);
  process.on("uncaughtException", (error) => {
    log.error("uncaught error", { code: errorCode(error), stack: String(error?.stack ?? "").split("\n").slice(1, 6) });
    process.exit(1);
  });
  start(config, log);
} catch (error) {
  const faults = error instanceof ConfigError ? error.faults : [error.message];
  createLog().error("not started", { faults });
  process.exit(1);
}
