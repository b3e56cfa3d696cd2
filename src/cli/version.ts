/** The version and the name of this release, out of package.json. Called by every command that prints or reports it. */
import { existsSync, readFileSync } from "node:fs";

/** package.json is beside dist/ in a checkout and beside dist/ in the published package. */
export function readVersion(): string {
  for (let depth = 0, path = "./"; depth < 6; depth++, path += "../") {
    const candidate = new URL(`${path}package.json`, import.meta.url);
    if (existsSync(candidate)) {
      const { name, version } = JSON.parse(readFileSync(candidate, "utf8"));
      if (name === "holdfast") {
        return version;
      }
    }
  }
  return "unknown";
}
