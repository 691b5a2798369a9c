import { defineConfig } from "vitest/config"

export default defineConfig({
  ssr: { resolve: { conditions: ["@holdfast/source", "module", "node"] } },
  resolve: { conditions: ["@holdfast/source", "module", "node"] },
  test: {
    include: ["test/**/*.test.ts"],
    sequence: { concurrent: true },
    testTimeout: 30_000,
    hookTimeout: 30_000
  }
})
