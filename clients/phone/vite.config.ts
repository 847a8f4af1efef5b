import { resolve } from "node:path";
import { defineConfig } from "vitest/config";
import { shell } from "./scripts/shell";

const at = (path: string) => resolve(import.meta.dirname, path);

export default defineConfig({
  esbuild: { jsx: "automatic", jsxImportSource: "preact", legalComments: "none" },
  build: {
    target: "es2022",
    outDir: at("../../edged/server/web/phone"),
    emptyOutDir: true,
    // The page may load files of its own and nothing else: no data: URLs, no script in the page.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rollupOptions: {
      input: { app: at("index.html"), sw: at("src/offline/sw.ts") },
      // A service worker governs what lies beside and below it, so it lies at the root.
      output: { entryFileNames: ({ name }) => (name === "sw" ? "sw.js" : "assets/[name]-[hash].js") },
    },
  },
  plugins: [shell()],
  test: { include: ["tests/**/*.test.ts"], environment: "node" },
});
