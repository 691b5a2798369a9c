import { execFileSync } from "node:child_process"
import { fileURLToPath } from "node:url"

/** End-to-end tests run the command as it is packed: it is bundled from the sources under test first. */
export default (): void => {
  const root = fileURLToPath(new URL("../..", import.meta.url))
  execFileSync("npm", ["run", "--silent", "bundle", "--workspace", "@holdfast/cli"], {
    cwd: root,
    stdio: "inherit"
  })
}
