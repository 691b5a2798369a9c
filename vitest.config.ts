import { defineConfig } from "vitest/config"

export default defineConfig({
  ssr: { resolve: { conditions: ["@holdfast/source", "module", "node"] } },
  resolve: { conditions: ["@holdfast/source", "module", "node"] },
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: ["test/support/globalSetup.ts"],
    sequence: { concurrent: true },
    testTimeout: 240_000,
    hookTimeout: 120_000
  }
})
