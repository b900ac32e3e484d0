import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

export default defineConfig({
  plugins: [svelte()],
  build: { target: "safari16", cssTarget: "safari16", outDir: "dist", modulePreload: { polyfill: false } },
  server: { host: "127.0.0.1" },
  // The policy of the desktop program, so that the tests in a browser break where the real window would.
  preview: {
    host: "127.0.0.1",
    headers: { "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:" },
  },
  test: { include: ["src/**/*.test.ts"] },
});
