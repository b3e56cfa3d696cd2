/** Tests of table.ts: columns line up, no blanks at the end of a line. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { formatTable } from "./table.ts";

test("formatTable() aligns columns and leaves no blanks at the end of a line", () => {
  const columns = [{ title: "NAME" }, { title: "N", align: "right" }, { title: "WHY" }] as const;
  assert.deepEqual(
    formatTable(columns, [
      ["a", "1", ""],
      ["long", "1000", "x"],
    ]),
    ["NAME     N  WHY", "a        1", "long  1000  x"],
  );
});
