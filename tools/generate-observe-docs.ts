/**
 * Writes docs/reference/metrics.md, close-causes.md and cli.md from the registries and the commands' help.
 * Run by `npm run docs`; src/cli/reference-page.test.ts fails when the files are not what this writes.
 */
import { writeFileSync } from "node:fs";
import { cliReferencePage } from "../src/cli/reference-page.ts";
import { closeCausesReferencePage, metricsReferencePage } from "../src/observe/reference-pages.ts";

writeFileSync("docs/reference/metrics.md", metricsReferencePage());
writeFileSync("docs/reference/close-causes.md", closeCausesReferencePage());
writeFileSync("docs/reference/cli.md", cliReferencePage());
