import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { extname, join } from "node:path";

const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
};

/**
 * Reads the built page into memory: what is served is this fixed table, so no request names a path of the file system.
 * @returns {Map<string, {body: Buffer, type: string, etag: string}>} by request path
 */
export function loadStaticFiles(folder) {
  const files = new Map();
  for (const name of readdirSync(folder)) {
    const type = TYPES[extname(name)];
    if (type === undefined) continue;
    const body = readFileSync(join(folder, name));
    const etag = `"${createHash("sha256").update(body).digest("base64url").slice(0, 22)}"`;
    files.set(name === "index.html" ? "/" : `/${name}`, { body, type, etag });
  }
  if (!files.has("/")) throw new Error(`${folder} has no index.html; run "npm run build" first`);
  return files;
}
