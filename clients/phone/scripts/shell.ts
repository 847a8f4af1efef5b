// Two things that the build adds: the list of the shell's files for the service worker, and the licences of what was
// put into the bundle.

import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Plugin, Rollup } from "vite";

const PLACEHOLDER = '"__SHELL__"';
/** Fetched only when somebody wants to see it. */
const NOT_SHELL = ["sw.js", "licences.txt"];

export function shell(): Plugin {
  let publicFolder = "";
  return {
    name: "shell",
    apply: "build",
    enforce: "post",
    configResolved(config) {
      publicFolder = config.publicDir;
    },
    generateBundle(_options, bundle) {
      this.emitFile({ type: "asset", fileName: "licences.txt", source: licences(bundle) });
      const worker = bundle["sw.js"];
      if (worker?.type !== "chunk" || !worker.code.includes(PLACEHOLDER)) this.error("the service worker has no list");
      const list = JSON.stringify(shellOf(bundle, publicFolder));
      worker.code = worker.code.replace(PLACEHOLDER, () => JSON.stringify(list));
    },
  };
}

function shellOf(bundle: Rollup.OutputBundle, publicFolder: string): { version: string; files: string[] } {
  const contents = new Map<string, string | Uint8Array>();
  for (const file of Object.values(bundle))
    contents.set(file.fileName, file.type === "chunk" ? file.code : file.source);
  for (const name of readdirSync(publicFolder)) contents.set(name, readFileSync(join(publicFolder, name)));
  const names = [...contents.keys()].filter((name) => !NOT_SHELL.includes(name)).sort();
  const hash = createHash("sha256");
  for (const name of names) hash.update(name).update(contents.get(name) ?? "");
  const files = names.map((name) => (name === "index.html" ? "/" : `/${name}`));
  return { version: hash.digest("hex").slice(0, 16), files };
}

function licences(bundle: Rollup.OutputBundle): string {
  const folders = new Set<string>();
  for (const file of Object.values(bundle)) {
    if (file.type === "chunk") for (const module of file.moduleIds) folders.add(packageOf(module));
  }
  const found = [...folders].filter(Boolean).map(licence);
  return `${found.sort().join(`\n${"-".repeat(80)}\n\n`)}`;
}

/** The folder of the package that a module comes from; empty for the app's own. */
function packageOf(module: string): string {
  if (!module.includes("node_modules")) return "";
  let folder = dirname(module.replace(/^\0/, ""));
  while (!existsSync(join(folder, "package.json")) || !nameOf(folder)) folder = dirname(folder);
  return folder;
}

function nameOf(folder: string): string {
  return JSON.parse(readFileSync(join(folder, "package.json"), "utf8")).name ?? "";
}

function licence(folder: string): string {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const file = readdirSync(folder).find((each) => /^licen[cs]e/i.test(each));
  return `${name} ${version} (${license})\n\n${file ? readFileSync(join(folder, file), "utf8").trim() : ""}\n`;
}
