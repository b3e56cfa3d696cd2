/**
 * The JSON Schema of the configuration file, for editors: put
 * `# yaml-language-server: $schema=…/docs/reference/holdfast.schema.json` on the first line of the file.
 * It is as strict as JSON Schema can be; `holdfast check` knows more. Pure. Called by cli/check.ts and generate-docs.ts.
 */
import { gatewaySection } from "./schema.ts";
import type { JsonSchema } from "./schema-kit.ts";

export function configJsonSchema(): JsonSchema {
  return {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "Holdfast gateway configuration",
    ...gatewaySection.jsonSchema,
  };
}
