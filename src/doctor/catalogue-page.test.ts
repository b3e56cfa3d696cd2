/** The guide's tables are those of the catalogue. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { projectRoot } from "../../test/harness/paths.ts";
import { CATALOGUE } from "./catalogue.ts";
import { catalogueTables, withCatalogueTables } from "./catalogue-page.ts";

for (const [folder, language] of [
  ["docs/guide", "en"],
  ["docs/zh-CN", "zh-CN"],
] as const) {
  test(`${folder}/what-each-box-does.md has the tables that \`npm run docs\` writes`, () => {
    const page = readFileSync(path.join(projectRoot, folder, "what-each-box-does.md"), "utf8");
    assert.equal(page, withCatalogueTables(page, language));
  });
}

test("catalogueTables() has a row for each entry, and marks what is unverified", () => {
  const tables = catalogueTables();
  for (const { name, group, source } of CATALOGUE.filter((entry) => entry.group !== "your own")) {
    const row = tables.split("\n").find((line) => line.startsWith(`| \`${name}\` |`));
    assert.ok(row !== undefined, `${group}: ${name}`);
    assert.equal(row.includes("**unverified:**"), source.isUnverified === true, name);
  }
});
