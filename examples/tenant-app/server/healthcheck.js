// For the image's HEALTHCHECK: the image has no curl, and needs none.
const port = process.env.PORT || "8080";
const path = process.env.HEALTH_PATH || "/healthz";

try {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { signal: AbortSignal.timeout(4000) });
  console.log(await response.text());
  process.exitCode = response.ok ? 0 : 1;
} catch (error) {
  console.log(`no answer: ${error.cause?.code ?? error.name}`);
  process.exitCode = 1;
}
