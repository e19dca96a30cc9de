import { copyFile, mkdir, rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));

await rm(`${root}dist`, { recursive: true, force: true });
await mkdir(`${root}dist`);
await build({
  entryPoints: [`${root}web/app.js`],
  outfile: `${root}dist/app.js`,
  bundle: true,
  format: "esm",
  platform: "browser",
  target: "es2022",
  minify: true,
  legalComments: "none",
  logLevel: "warning",
});
for (const name of ["index.html", "style.css", "icon.svg"]) await copyFile(`${root}web/${name}`, `${root}dist/${name}`);
