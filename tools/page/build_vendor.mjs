// Bundles vendor.mjs into the page's static/vendor, with the licences, versions and the SHA-256.
// With --check: compares with what is there, and fails where it differs.
import { build } from "esbuild";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const HERE = dirname(fileURLToPath(import.meta.url));
const OUT = join(HERE, "../../src/maskferry/web/static/vendor");
const PARTS = ["preact", "@preact/signals", "@preact/signals-core", "htm"];

function read(part, name) {
  return readFileSync(join(HERE, "node_modules", part, name), "utf8");
}

function versions() {
  return PARTS.map((part) => {
    const { version, license } = JSON.parse(read(part, "package.json"));
    return `${part} ${version} (${license})`;
  });
}

function licences() {
  return PARTS.map((part) => `${part}\n${"=".repeat(part.length)}\n\n${read(part, "LICENSE").trim()}\n`).join("\n\n");
}

const made = await build({
  entryPoints: [join(HERE, "vendor.mjs")],
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  legalComments: "none",
  write: false,
  banner: { js: `/* ${versions().join(", ")}; licences: LICENSES.txt; made by tools/page/build_vendor.mjs */` },
});
const code = made.outputFiles[0].text;
const sum = createHash("sha256").update(code).digest("hex");
const files = {
  "preact.js": code,
  "LICENSES.txt": licences(),
  "VERSIONS.txt": `${versions().join("\n")}\n\nsha256 ${sum}  preact.js\n`,
};
mkdirSync(OUT, { recursive: true });
for (const [name, text] of Object.entries(files)) {
  if (!process.argv.includes("--check")) writeFileSync(join(OUT, name), text);
  else if (readFileSync(join(OUT, name), "utf8") !== text) {
    console.error(`static/vendor/${name} is not what tools/page/build_vendor.mjs makes`);
    process.exitCode = 1;
  }
}
