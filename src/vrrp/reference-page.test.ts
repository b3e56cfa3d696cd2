/** docs/reference/virtual-router-states.md is what the tables say. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import test from "node:test";
import { projectRoot } from "../../test/harness/paths.ts";
import { virtualRouterStatesPage } from "./reference-page.ts";
import { TRANSITION_CAUSES } from "./state.ts";

test("docs/reference/virtual-router-states.md is what `npm run docs` writes", () => {
  const file = path.join(projectRoot, "docs/reference/virtual-router-states.md");
  assert.equal(readFileSync(file, "utf8"), virtualRouterStatesPage());
});

test("the page draws every edge of the table and explains every cause", () => {
  const page = virtualRouterStatesPage();
  for (const edge of [
    "initialize --> backup: startup",
    "active --> fault: fault",
    "backup --> active: active-down",
  ])
    assert.ok(page.includes(edge), edge);
  for (const cause of Object.keys(TRANSITION_CAUSES)) assert.ok(page.includes(`| \`${cause}\` |`), cause);
});
