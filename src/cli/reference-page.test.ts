/** The generated pages of docs/reference are up to date, and every command has an example. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { closeCausesReferencePage, metricsReferencePage } from "../observe/reference-pages.ts";
import { holdfastCommand } from "./program.ts";
import { cliReferencePage } from "./reference-page.ts";

/** The checkout: tests run from dist/, in it or with it as the working directory. */
function repositoryRoot(): string {
  const above = join(dirname(fileURLToPath(import.meta.url)), "../../..");
  return existsSync(join(above, "docs/reference")) ? above : process.cwd();
}

for (const [name, page] of [
  ["metrics.md", metricsReferencePage],
  ["close-causes.md", closeCausesReferencePage],
  ["cli.md", cliReferencePage],
] as const) {
  test(`docs/reference/${name} is what \`npm run docs\` writes`, () => {
    const path = join(repositoryRoot(), "docs/reference", name);
    assert.equal(readFileSync(path, "utf8"), page());
  });
}

test("every command has a help with an example", () => {
  const page = cliReferencePage();
  for (const command of holdfastCommand().commands) {
    const section = page.split(`## holdfast ${command.name()}\n`)[1]?.split("\n## ")[0] ?? "";
    assert.match(section, /Examples?:\n {2}(?:sudo )?holdfast /, command.name());
  }
});

test("help shows durations as people write them, and a selector with > in quotes for the shell", () => {
  const page = cliReferencePage();
  assert.doesNotMatch(
    page,
    /<duration> [^\n]*\(default: "|<duration> [^\n]*\(default: \d+\)/,
    "milliseconds or quotes",
  );
  assert.match(page, /--up-to <duration> .*\(default: 20m\)/);
  assert.match(page, /--interval <duration> .*\(default: 2s\)/);
  const bare = page.split("\n").filter((line) => /(?<!'[^' ]*)->/.test(line) && !line.startsWith("<!--"));
  assert.deepEqual(bare, []);
});
