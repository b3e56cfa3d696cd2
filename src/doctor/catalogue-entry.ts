/**
 * One line of the catalogue: a known box or program, its default settings in the spelling of hop-settings.ts, and the product's own
 * words for what can be changed. Pure. The lines themselves are in catalogue/, found by name through catalogue.ts.
 */
import { closest } from "../config/closest.ts";
import { type Parsed, parsed, quoted, refused } from "../config/parsed.ts";
import type { HopSource } from "./hop.ts";
import {
  buildHop,
  type DescribedHop,
  fieldsOf,
  type HopKind,
  type KernelDefaults,
  readField,
  type Setting,
  type Settings,
} from "./hop-settings.ts";

/** A product's word for one or more fields. */
export interface Knob {
  readonly fields: readonly string[];
  /** Of a number without a unit; the default is seconds. */
  readonly unit?: "ms" | "min";
  /** The product's words for values: `enabled` → `reset-both`. */
  readonly words?: Readonly<Record<string, string>>;
}

export type CatalogueGroup =
  | "AWS"
  | "Google"
  | "Azure"
  | "other clouds"
  | "Linux"
  | "firewalls and NATs"
  | "proxies"
  | "end points"
  | "your own";

export interface CatalogueEntry {
  readonly name: string;
  readonly title: string;
  readonly group: CatalogueGroup;
  readonly kind: HopKind;
  /** Default values by field. */
  readonly defaults: Readonly<Record<string, string>>;
  /** End points: which end they can be. `serverDefaults` replaces `defaults` at the end of the path. */
  readonly roles?: "client" | "server" | "both";
  readonly serverDefaults?: Readonly<Record<string, string>>;
  readonly knobs?: Readonly<Record<string, Knob>>;
  /** Which word `NAME=VALUE` of the command line sets; the default is the idle time-out. */
  readonly main?: string;
  readonly source: HopSource;
  readonly note?: string;
  /** Holds only at the beginning of the path. */
  readonly clientNote?: string;
}

/** Values that replace defaults, by the operator's word for them. */
export interface Override {
  readonly key: string;
  readonly raw: unknown;
  readonly source: HopSource;
}

export type Role = "client" | "server";

/** Words that every hop of a kind understands besides its fields. */
const COMMON_KNOBS: Readonly<Record<HopKind, Readonly<Record<string, Knob>>>> = {
  "end-point": {},
  "packet-box": {
    after_expiry: { fields: ["from_client", "from_server"] },
    idle_timeout: { fields: ["timeout"] },
    reset_on_timeout: {
      fields: ["at_expiry"],
      words: { on: "reset-both", off: "silent", true: "reset-both", false: "silent" },
    },
  },
  proxy: {
    so_keepalive: { fields: ["client_so_keepalive", "server_so_keepalive"] },
    idle_timeout: { fields: ["client_idle_timeout", "server_timeout"] },
    tcp_user_timeout: { fields: ["client_user_timeout", "server_user_timeout"] },
  },
};

export function knobsOf(entry: CatalogueEntry): Readonly<Record<string, Knob>> {
  const fields = Object.fromEntries(fieldsOf(entry.kind).map((field) => [field, { fields: [field] }]));
  return { ...fields, ...COMMON_KNOBS[entry.kind], ...entry.knobs };
}

/** The word that `NAME=VALUE` sets: a value that looks like so_keepalive is meant for it. */
export function mainKey(entry: CatalogueEntry, value: string): string {
  const isKeepalive = value === "on" || value === "off" || value.includes(":");
  if (entry.kind === "end-point" && isKeepalive) return "so_keepalive";
  return entry.main ?? (entry.kind === "packet-box" ? "timeout" : "idle_timeout");
}

/** What an override sets, or why it does not. */
export function readOverride(
  entry: CatalogueEntry,
  { key, raw, source }: Override,
): Parsed<Readonly<Record<string, Setting>>> {
  const knobs = knobsOf(entry);
  const knob = Object.hasOwn(knobs, key) ? knobs[key]! : undefined;
  if (knob === undefined) {
    const names = Object.keys(knobs);
    const similar = closest(key, names);
    const hint =
      similar === undefined ? `${entry.name} has: ${names.join(", ")}` : `did you mean ${similar}?`;
    return refused(`${entry.name} has no setting ${quoted(key)}`, hint);
  }
  const settings: Record<string, Setting> = {};
  for (const field of knob.fields) {
    const result = readField(entry.kind, field, translate(knob, raw));
    if (!result.ok) return result;
    settings[field] = { label: key, text: result.value, source };
  }
  return parsed(settings);
}

function translate(knob: Knob, raw: unknown): unknown {
  const name = String(raw);
  if (knob.words !== undefined && Object.hasOwn(knob.words, name)) return knob.words[name];
  const isBare = typeof raw === "number" || (typeof raw === "string" && /^\d{1,12}$/.test(raw));
  if (!isBare || knob.unit === undefined) return raw;
  return knob.unit === "ms" ? `${name}ms` : `${name}m`;
}

export function defaultSettings(entry: CatalogueEntry, role: Role): Settings {
  const texts = role === "server" ? (entry.serverDefaults ?? entry.defaults) : entry.defaults;
  const labels = labelsOf(entry);
  const isUnverified = entry.source.isUnverified === true ? { isUnverified: true } : {};
  return Object.fromEntries(
    Object.entries(texts).map(([field, text]) => [
      field,
      { label: labels.get(field) ?? field, text, source: { text: "default", ...isUnverified } },
    ]),
  );
}

/** The product's word for a field, where it has exactly one meaning. */
function labelsOf(entry: CatalogueEntry): ReadonlyMap<string, string> {
  const labels = new Map<string, string>();
  for (const [name, { fields, words }] of Object.entries(entry.knobs ?? {})) {
    // A word with values of its own (enabled, yes) must not stand beside values of ours.
    if (words !== undefined && !("0" in words)) continue;
    for (const field of fields) if (!labels.has(field)) labels.set(field, name);
  }
  return labels;
}

/** The hop of an entry with some values replaced; `settings` are checked ones, by field. */
export function hopOf(
  entry: CatalogueEntry,
  options: {
    readonly role?: Role;
    readonly settings?: Settings;
    readonly kernel?: KernelDefaults;
    readonly name?: string;
    readonly source?: HopSource;
    readonly notes?: readonly string[];
  } = {},
): DescribedHop {
  const settings = { ...defaultSettings(entry, options.role ?? "client"), ...options.settings };
  const hop = buildHop(
    entry.kind,
    options.name ?? entry.name,
    settings,
    options.source ?? entry.source,
    options.kernel,
  );
  const clientNote = options.role === "server" ? undefined : entry.clientNote;
  const notes = [entry.note, clientNote, ...(options.notes ?? [])].filter((note) => note !== undefined);
  return { hop, settings, notes };
}
