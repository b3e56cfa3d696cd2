/**
 * Writes docs/reference/config.md and docs/reference/holdfast.schema.json from the configuration's schema.
 * Run by `npm run docs`; src/config/reference-page.test.ts fails when the files are not what this writes.
 */
import { writeFileSync } from "node:fs";
import { configJsonSchema } from "../src/config/json-schema.ts";
import { configReferencePage } from "../src/config/reference-page.ts";

writeFileSync("docs/reference/config.md", configReferencePage());
writeFileSync("docs/reference/holdfast.schema.json", `${JSON.stringify(configJsonSchema(), null, 2)}\n`);
