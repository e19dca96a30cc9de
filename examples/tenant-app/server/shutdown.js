import { setTimeout as sleep } from "node:timers/promises";

/**
 * Ends the service without losing a request: report "draining", take no new connection, finish what runs, send websockets
 * away, close the database.
 * @returns {Promise<boolean>} false when something had to be cut off at the end of the grace period
 */
export async function shutDown({ server, live, feed, database, health, config, log }) {
  const started = Date.now();
  const remaining = () => Math.max(config.shutdownGraceMs - (Date.now() - started), 0);
  health.startDraining();
  log.info("draining");
  // Time for a load balancer to see the 503 of /healthz before connections are refused.
  if (config.drainDelayMs > 0) await sleep(config.drainDelayMs);
  feed.stop();
  const closed = new Promise((resolve) => server.close(() => resolve(true)));
  server.announceClose();
  // An answer whose headers were already on their way leaves an idle connection behind.
  const sweep = setInterval(() => server.closeIdleConnections(), 100);
  const websockets = await live.drain(Math.max(remaining() / 2, 50));
  const clean = await Promise.race([closed, sleep(remaining(), false)]);
  clearInterval(sweep);
  if (!clean) server.closeAllConnections();
  await Promise.race([database.close(), sleep(Math.max(remaining(), 200), undefined, { ref: false })]);
  log.info("stopped", { clean, websockets, ms: Date.now() - started });
  return clean;
}
