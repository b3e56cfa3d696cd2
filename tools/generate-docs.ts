/**
 * Writes docs/reference/config.md and docs/reference/holdfast.schema.json from the configuration's schema,
 * docs/reference/virtual-router-states.md from the tables of src/vrrp, and the tables of what-each-box-does.md in docs/guide/ and
 * docs/zh-CN/ from the doctor's catalogue. Run by `npm run docs`; the tests beside the generators fail when the files are not
 * what this writes.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { configJsonSchema } from "../src/config/json-schema.ts";
import { configReferencePage } from "../src/config/reference-page.ts";
import { withCatalogueTables } from "../src/doctor/catalogue-page.ts";
import { virtualRouterStatesPage } from "../src/vrrp/reference-page.ts";

writeFileSync("docs/reference/config.md", configReferencePage());
writeFileSync("docs/reference/holdfast.schema.json", `${JSON.stringify(configJsonSchema(), null, 2)}\n`);

for (const [folder, language] of [
  ["docs/guide", "en"],
  ["docs/zh-CN", "zh-CN"],
] as const) {
  const boxes = `${folder}/what-each-box-does.md`;
  writeFileSync(boxes, withCatalogueTables(readFileSync(boxes, "utf8"), language));
}
writeFileSync("docs/reference/virtual-router-states.md", virtualRouterStatesPage());
