/**
 * Where things are: the project's root, the compiled tree this file belongs to, the gateway's entry point.
 * Used by every test and benchmark that starts a real program.
 */
import { existsSync, mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const here = path.dirname(fileURLToPath(import.meta.url));

/** The compiled tree (`dist/`, or wherever tsc was told to write): two levels above `test/harness`. */
export const compiledRoot = path.resolve(here, "../..");

/** The checkout: where package.json is. */
export const projectRoot = findProjectRoot(compiledRoot);

/** `node holdfastMain run FILE`. */
export const holdfastMain = path.join(compiledRoot, "src/cli/main.js");

function findProjectRoot(from: string): string {
  for (let directory = from; ; directory = path.dirname(directory)) {
    const manifest = path.join(directory, "package.json");
    if (existsSync(manifest)) return path.dirname(realpathSync(manifest));
    if (directory === path.dirname(directory)) throw new Error(`no package.json above ${from}`);
  }
}

/** A directory of its own under the system's temporary directory, removed by `remove()`. */
export function makeScratchDirectory(label: string): { directory: string; remove: () => void } {
  const directory = mkdtempSync(path.join(tmpdir(), `holdfast-${label}-`));
  return { directory, remove: () => rmSync(directory, { recursive: true, force: true }) };
}
