/**
 * The JSON Schema of PATH.yaml, from the catalogue and the fields of hops, so that editors can complete names and settings. Pure.
 * Called by `holdfast predict --schema`.
 */
import { CATALOGUE } from "./catalogue.ts";
import { type CatalogueEntry, knobsOf } from "./catalogue-entry.ts";
import { fieldJsonSchema } from "./hop-settings.ts";
import { SCENARIO_KINDS } from "./scenario-words.ts";

type JsonSchema = Readonly<Record<string, unknown>>;

const TEXT: JsonSchema = { type: ["string", "integer"] };
const OWN: Readonly<Record<string, JsonSchema>> = {
  name: { ...TEXT, description: "What to call this hop" },
  file: { ...TEXT, description: "Configuration file to read the values from, relative to this file" },
  select: { ...TEXT, description: "Which part of the file: a port, a name, 80/api" },
  port: { ...TEXT, description: "Which part of the file, by port" },
  sysctl: { ...TEXT, description: "Output of sysctl -a: the kernel defaults of this hop" },
};

export function pathFileJsonSchema(): JsonSchema {
  return {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "A path for holdfast predict",
    type: "object",
    additionalProperties: false,
    required: ["path"],
    properties: {
      path: {
        type: "array",
        minItems: 2,
        items: { anyOf: [{ enum: CATALOGUE.map(({ name }) => name) }, hopMap()] },
      },
      scenarios: {
        type: "array",
        items: {
          anyOf: [
            { enum: SCENARIO_KINDS },
            { type: "string" },
            { type: "object", minProperties: 1, maxProperties: 1 },
          ],
        },
      },
    },
  };
}

function hopMap(): JsonSchema {
  return {
    type: "object",
    minProperties: 1,
    maxProperties: 1,
    properties: Object.fromEntries(CATALOGUE.map((entry) => [entry.name, entrySchema(entry)])),
  };
}

function entrySchema(entry: CatalogueEntry): JsonSchema {
  const knobs = Object.entries(knobsOf(entry)).map(([name, { fields, words }]) => {
    const value = fieldJsonSchema(entry.kind, fields[0]!);
    return [
      name,
      words === undefined ? value : { anyOf: [value, { type: ["string", "integer", "boolean"] }] },
    ];
  });
  return {
    description: entry.title,
    anyOf: [
      { type: ["null", "string", "integer"] },
      { type: "object", properties: { ...OWN, ...Object.fromEntries(knobs) } },
    ],
  };
}
