/**
 * Building blocks of the configuration's schema. A `ValueKind` is a valibot schema together with what a person and an
 * editor need to know about it (type, range, JSON Schema); a `Key` adds the default and the meaning. schema.ts is
 * written with them; load.ts validates with `kind.schema`, the reference page and the JSON Schema are read off the
 * same tables, so that none of them can say something else than the loader does.
 */
import * as v from "valibot";
import { DURATION_MS_MAX, type DurationRange, formatDurationRange, parseDurationMs } from "./duration.ts";
import { type Parsed, parsed, quoted, refused } from "./parsed.ts";
import { formatSizeRange, parseSizeBytes, SIZE_BYTES_MAX, type SizeRange } from "./size.ts";

export type JsonSchema = { readonly [keyword: string]: unknown };
export type Schema<Output> = v.GenericSchema<unknown, Output>;

export interface ValueKind<Output> {
  readonly schema: Schema<Output>;
  /** As printed in the reference: "duration", "list of addresses". */
  readonly type: string;
  readonly range: string | undefined;
  readonly jsonSchema: JsonSchema;
  /** The keys of a section; also of the sections inside a list or behind names. */
  readonly keys?: KeyTable;
  /** How the raw value reaches `keys`: directly, per list entry, per name. */
  readonly shape: "value" | "section" | "list" | "named";
}

export interface Key<Output> {
  readonly kind: ValueKind<unknown>;
  readonly schema: Schema<Output>;
  readonly isRequired: boolean;
  /** As written in YAML; undefined: there is none. */
  readonly defaultValue: unknown;
  /** For a default that follows from other keys: how, in words. */
  readonly defaultText: string | undefined;
  readonly meaning: string;
  /** The same thing elsewhere: "nginx `keepalive_timeout`". */
  readonly alike: string | undefined;
}

export type KeyTable = { readonly [name: string]: Key<unknown> };
export type SectionOutput<Keys extends KeyTable> = {
  readonly [Name in keyof Keys]: Keys[Name] extends Key<infer Output> ? Output : never;
};

interface KeyDoc {
  readonly meaning: string;
  readonly alike?: string;
  readonly defaultText?: string;
}

/** Must be written. */
export function required<Output>(kind: ValueKind<Output>, doc: KeyDoc): Key<Output> {
  return key(kind, kind.schema, true, undefined, doc);
}

/** May be left out, and is then what `defaultValue` (YAML spelling) means. */
export function optional<Output>(kind: ValueKind<Output>, defaultValue: unknown, doc: KeyDoc): Key<Output> {
  return key(
    kind,
    v.optional(kind.schema, defaultValue as never) as Schema<Output>,
    false,
    defaultValue,
    doc,
  );
}

/** May be left out, and is then undefined. */
export function absent<Output>(kind: ValueKind<Output>, doc: KeyDoc): Key<Output | undefined> {
  return key(kind, v.optional(kind.schema), false, undefined, doc);
}

/** A map of names that may be left out, and is then empty: nothing to write down as a default. */
export function orNone<Output>(kind: ValueKind<Output>, doc: KeyDoc): Key<Output> {
  return { ...optional(kind, {}, doc), defaultValue: undefined };
}

function key<Output>(
  kind: ValueKind<unknown>,
  schema: Schema<Output>,
  isRequired: boolean,
  defaultValue: unknown,
  { meaning, alike, defaultText }: KeyDoc,
): Key<Output> {
  return { kind, schema, isRequired, defaultValue, defaultText, meaning, alike };
}

/** Separates message and hint inside a valibot issue, whose message is one string. */
const HINT_SEPARATOR = "\u0000";

export function splitIssueMessage(text: string): { message: string; hint: string | undefined } {
  const [message, hint] = text.split(HINT_SEPARATOR);
  return { message: message!, hint };
}

function issueMessage(message: string, hint: string | undefined): string {
  return hint === undefined ? message : message + HINT_SEPARATOR + hint;
}

/** A single value, read by a parser that gives its reason in words. */
export function value<Output>(options: {
  type: string;
  range?: string;
  parse: (input: unknown) => Parsed<Output>;
  jsonSchema: JsonSchema;
}): ValueKind<Output> {
  const schema = v.pipe(
    v.unknown(),
    v.rawTransform<unknown, Output>(({ dataset, addIssue, NEVER }) => {
      const result = options.parse(dataset.value);
      if (result.ok) return result.value;
      addIssue({ message: issueMessage(result.reason, result.hint) });
      return NEVER;
    }),
  );
  return { schema, type: options.type, range: options.range, jsonSchema: options.jsonSchema, shape: "value" };
}

/**
 * A map with known keys. Unknown keys are found by load.ts, which also knows what they might have meant.
 * `notMapHint` is for sections that people write as a word; `jsonSchema` adds what only an editor can know early.
 */
export function section<const Keys extends KeyTable>(
  keys: Keys,
  options: { readonly notMapHint?: string; readonly jsonSchema?: JsonSchema } = {},
): ValueKind<SectionOutput<Keys>> {
  const entries = Object.fromEntries(Object.entries(keys).map(([name, { schema }]) => [name, schema]));
  const schema = v.object(entries, (issue) =>
    issue.expected.startsWith('"')
      ? issueMessage("is missing", missingHint(keys, issue.expected.slice(1, -1)))
      : issueMessage(
          `must be a map of keys, not ${quoted(issue.input)}`,
          options.notMapHint ?? `keys: ${Object.keys(keys).join(", ")}`,
        ),
  );
  const names = Object.keys(keys);
  return {
    schema: schema as unknown as Schema<SectionOutput<Keys>>,
    type: "map",
    range: undefined,
    keys,
    shape: "section",
    jsonSchema: {
      type: "object",
      additionalProperties: false,
      properties: Object.fromEntries(names.map((name) => [name, keyJsonSchema(keys[name]!)])),
      ...(names.some((name) => keys[name]!.isRequired)
        ? { required: names.filter((name) => keys[name]!.isRequired) }
        : {}),
      ...options.jsonSchema,
    },
  };
}

function missingHint(keys: KeyTable, name: string): string | undefined {
  const missing = keys[name];
  return missing === undefined ? undefined : `add ${name} (${missing.kind.type}): ${missing.meaning}`;
}

function keyJsonSchema({ kind, meaning, defaultValue }: Key<unknown>): JsonSchema {
  return {
    ...kind.jsonSchema,
    description: meaning,
    ...(defaultValue === undefined ? {} : { default: defaultValue }),
  };
}

/** A map whose keys are names the operator chose. */
export function named<Output>(kind: ValueKind<Output>): ValueKind<Readonly<Record<string, Output>>> {
  const schema = v.record(v.string(), kind.schema, (issue) =>
    issueMessage(
      `must be a map from names to maps, not ${quoted(issue.input)}`,
      "write a name of your choice, then its keys indented below it",
    ),
  );
  return {
    schema: schema as unknown as Schema<Readonly<Record<string, Output>>>,
    type: "map of names",
    range: undefined,
    ...(kind.keys === undefined ? {} : { keys: kind.keys }),
    shape: "named",
    jsonSchema: {
      type: "object",
      propertyNames: { pattern: NAME_PATTERN },
      additionalProperties: kind.jsonSchema,
    },
  };
}

/** Names end up in metric labels and on the command line. */
export const NAME_PATTERN = "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$";

export function parseName(input: unknown): Parsed<string> {
  const name = typeof input === "number" ? String(input) : input;
  // Names become keys of objects; these three are never one's own.
  const isReserved = name === "__proto__" || name === "constructor" || name === "prototype";
  if (typeof name === "string" && !isReserved && new RegExp(NAME_PATTERN).test(name)) return parsed(name);
  return refused(`${quoted(input)} is not a name`, "a name has 1 to 64 letters, digits, _, - and dots");
}

/** A list; `mayBeSingle`: one entry may be written without the list around it. */
export function list<Output>(
  kind: ValueKind<Output>,
  options: { type: string; entriesMin: number; mayBeSingle?: boolean },
): ValueKind<readonly Output[]> {
  const entries = v.array(kind.schema, (issue) =>
    issueMessage(
      `must be a list, not ${quoted(issue.input)}`,
      'write each entry on a line of its own, after "- "',
    ),
  );
  const filled = v.pipe(
    entries,
    v.minLength(
      options.entriesMin,
      issueMessage("must not be empty", `write at least ${options.entriesMin} entry`),
    ),
  );
  const wrap = v.transform((input: unknown) => (Array.isArray(input) || input === null ? input : [input]));
  const schema = options.mayBeSingle === true ? v.pipe(v.unknown(), wrap, filled) : filled;
  const jsonList: JsonSchema = { type: "array", items: kind.jsonSchema, minItems: options.entriesMin };
  return {
    schema: schema as unknown as Schema<readonly Output[]>,
    type: options.type,
    range: undefined,
    ...(kind.keys === undefined ? {} : { keys: kind.keys }),
    shape: "list",
    jsonSchema: options.mayBeSingle === true ? { anyOf: [kind.jsonSchema, jsonList] } : jsonList,
  };
}

/** A map that may be shortened to the value of one of its keys: `10.0.0.11:80` for `{ address: 10.0.0.11:80 }`. */
export function shortened<Output>(kind: ValueKind<Output>, keyName: string): ValueKind<Output> {
  const type = `${kind.keys![keyName]!.kind.type}, or map`;
  return shortForm(kind, (text) => ({ [keyName]: text }), { type, jsonForms: [{ type: "string" }] });
}

/** A map that may be written as a word, which `expand` turns into the map, or leaves alone when it knows none. */
export function shortForm<Output>(
  kind: ValueKind<Output>,
  expand: (word: string) => unknown,
  options: { readonly type: string; readonly jsonForms: readonly JsonSchema[] },
): ValueKind<Output> {
  const transform = v.transform((input: unknown) => (typeof input === "string" ? expand(input) : input));
  return {
    ...kind,
    type: options.type,
    schema: v.pipe(v.unknown(), transform, kind.schema) as unknown as Schema<Output>,
    jsonSchema: { anyOf: [...options.jsonForms, kind.jsonSchema] },
  };
}

/** A map without required keys, whose name alone says enough: `tcp:` for `tcp: {}`. */
export function mayBeEmpty<Output>(kind: ValueKind<Output>): ValueKind<Output> {
  const transform = v.transform((input: unknown) => (input === null ? {} : input));
  return {
    ...kind,
    schema: v.pipe(v.unknown(), transform, kind.schema) as unknown as Schema<Output>,
    jsonSchema: { anyOf: [{ type: "null" }, kind.jsonSchema] },
  };
}

/** A map that may also be `on` or `off` as a whole; `on` is the map with its defaults. */
export function switchOr<Output>(kind: ValueKind<Output>): ValueKind<Output | "off"> {
  const off = v.pipe(
    v.unknown(),
    v.transform(() => "off" as const),
  );
  const on = v.pipe(
    v.unknown(),
    v.transform(() => ({})),
    kind.schema,
  );
  const schema = v.lazy((input: unknown) => {
    const isOn = isSwitch(input) ? input === true || input === "on" : undefined;
    return (isOn === undefined ? kind.schema : isOn ? on : off) as Schema<Output | "off">;
  });
  return {
    ...kind,
    type: "boolean, or map",
    schema: schema as unknown as Schema<Output | "off">,
    jsonSchema: { anyOf: [{ enum: [true, false, "on", "off"] }, kind.jsonSchema] },
  };
}

function isSwitch(input: unknown): boolean {
  return input === true || input === false || input === "on" || input === "off";
}

const DURATION_PATTERN = "^(\\d+(ms|[yMwdhms])\\s*)*\\d*$";

export function duration(range: Partial<DurationRange> = {}): ValueKind<number> {
  const full = { minMs: 0, maxMs: DURATION_MS_MAX, ...range };
  return value({
    type: "duration",
    range: formatDurationRange(full),
    parse: (input) => parseDurationMs(input, full),
    jsonSchema: {
      type: ["string", "integer"],
      pattern: DURATION_PATTERN,
      minimum: Math.ceil(full.minMs / 1000),
      maximum: Math.floor(full.maxMs / 1000),
    },
  });
}

export function durationOr<Word extends string>(
  word: Word,
  range: Partial<DurationRange> = {},
): ValueKind<number | Word> {
  const plain = duration(range);
  const full = { minMs: 0, maxMs: DURATION_MS_MAX, ...range };
  return value<number | Word>({
    type: `\`${word}\` or duration`,
    range: plain.range ?? "",
    parse: (input) => (input === word ? parsed(word) : parseDurationMs(input, full)),
    jsonSchema: { anyOf: [{ const: word }, plain.jsonSchema] },
  });
}

export function size(range: Partial<SizeRange> = {}): ValueKind<number> {
  const full = { minBytes: 0, maxBytes: SIZE_BYTES_MAX, ...range };
  return value({
    type: "size",
    range: formatSizeRange(full),
    parse: (input) => parseSizeBytes(input, full),
    jsonSchema: {
      type: ["string", "integer"],
      pattern: "^\\d+[kKmMgG]?$",
      minimum: full.minBytes,
      maximum: full.maxBytes,
    },
  });
}

export function integer(min: number, max: number): ValueKind<number> {
  const range = `${min} to ${max}`;
  return value({
    type: "number",
    range,
    parse: (input) => {
      if (typeof input !== "number" || !Number.isInteger(input))
        return refused(`${quoted(input)} is not a whole number`, `allowed is ${range}`);
      return input < min || input > max
        ? refused(`${input} is out of range: allowed is ${range}`)
        : parsed(input);
    },
    jsonSchema: { type: "integer", minimum: min, maximum: max },
  });
}

export function integerOr<Word extends string>(
  word: Word,
  min: number,
  max: number,
): ValueKind<number | Word> {
  const plain = integer(min, max);
  return value<number | Word>({
    type: `\`${word}\` or number`,
    range: `${min} to ${max}`,
    parse: (input) => {
      if (input === word) return parsed(word);
      const isInRange = typeof input === "number" && Number.isInteger(input) && input >= min && input <= max;
      return isInRange
        ? parsed(input)
        : refused(`${quoted(input)} is neither ${word} nor a whole number from ${min} to ${max}`);
    },
    jsonSchema: { anyOf: [{ const: word }, plain.jsonSchema] },
  });
}

/** YAML 1.2 reads `on` and `off` as words; people coming from nginx write them. */
export function boolean(): ValueKind<boolean> {
  return value({
    type: "boolean",
    parse: (input) => {
      if (input === true || input === "on") return parsed(true);
      if (input === false || input === "off") return parsed(false);
      return refused(`${quoted(input)} is not a boolean`, "write true or false");
    },
    jsonSchema: { enum: [true, false, "on", "off"] },
  });
}

export function oneOf<const Word extends string>(words: readonly Word[]): ValueKind<Word> {
  return value<Word>({
    type: words.map((word) => `\`${word}\``).join(" or "),
    parse: (input) => {
      const word = words.find((candidate) => candidate === input);
      return word === undefined
        ? refused(`${quoted(input)} is not one of ${words.join(", ")}`, `write ${words.join(" or ")}`)
        : parsed(word);
    },
    jsonSchema: { enum: words },
  });
}

/** A string that a parser understands. */
export function text<Output>(
  type: string,
  parse: (input: unknown) => Parsed<Output>,
  jsonSchema: JsonSchema = { type: "string" },
): ValueKind<Output> {
  return value({ type, parse, jsonSchema });
}
