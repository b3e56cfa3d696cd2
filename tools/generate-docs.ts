/**
 * Writes docs/reference/config.md and docs/reference/holdfast.schema.json from the configuration's schema, and
 * docs/reference/virtual-router-states.md from the tables of src/vrrp. Run by `npm run docs`; the reference-page.test.ts beside
 * the generators fail when the files are not what this writes.
 */
import { writeFileSync } from "node:fs";
import { configJsonSchema } from "../src/config/json-schema.ts";
import { configReferencePage } from "../src/config/reference-page.ts";
import { virtualRouterStatesPage } from "../src/vrrp/reference-page.ts";

writeFileSync("docs/reference/config.md", configReferencePage());
writeFileSync("docs/reference/holdfast.schema.json", `${JSON.stringify(configJsonSchema(), null, 2)}\n`);
writeFileSync("docs/reference/virtual-router-states.md", virtualRouterStatesPage());
