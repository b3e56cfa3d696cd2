/**
 * PATH.yaml, a path written down:
 *
 *   path:
 *     - client: { so_keepalive: off, idle_timeout: 5m }
 *     - aws-nlb: { timeout: 350s }
 *     - nginx: { file: nginx.conf, port: 80 }
 *     - box: { name: the firewall, timeout: 30m, at_expiry: silent, after_expiry: drop }
 *     - node-http
 *   scenarios: [ idle, { slow-response: 2m }, { idle: { at: 10m, then_speaks: server } } ]
 *
 * Pure: no file is opened here; files named in it are relative to it. Every problem has line, column and a hint. Called by cli/predict.ts.
 */

import { closest } from "../config/closest.ts";
import { type ConfigPath, type Diagnostic, formatPath, sortDiagnostics } from "../config/diagnostics.ts";
import { quoted } from "../config/parsed.ts";
import { isMap, type RawMap } from "../config/raw.ts";
import { ConfigSource } from "../config/source.ts";
import { findEntry } from "./catalogue.ts";
import { mainKey, type Override } from "./catalogue-entry.ts";
import type { Scenario } from "./fate.ts";
import {
  FILE_KINDS,
  type FileKind,
  type FileRequest,
  fileKindOf,
  type HopRequest,
  type RequestResult,
} from "./path-request.ts";
import { parseScenario } from "./scenario-words.ts";

export function parsePathFile(text: string, file: string): RequestResult {
  const source = new ConfigSource(text, file);
  if (!source.isReadable) return { ok: false, diagnostics: sortDiagnostics(source.diagnostics) };
  const parser = new PathFileParser(source);
  const hops = parser.hops();
  const scenarios = parser.scenarios();
  const diagnostics = [...source.diagnostics, ...parser.problems];
  if (diagnostics.length > 0) return { ok: false, diagnostics: sortDiagnostics(diagnostics) };
  return { ok: true, request: { hops, scenarios } };
}

/** Words that choose a part of a file, besides `select`; all mean the same. */
const SELECTOR_KEYS = [
  "select",
  "port",
  "frontend",
  "listen",
  "listener",
  "server_name",
  "virtual_server",
  "location",
  "backend",
  "pool",
];
const OWN_KEYS = ["name", "file", "sysctl", "ipvs", ...SELECTOR_KEYS];
const TOP_KEYS = ["path", "scenarios"];
const HOPS_MAX = 100;

class PathFileParser {
  readonly problems: Diagnostic[] = [];
  readonly #source: ConfigSource;
  readonly #root: RawMap;

  constructor(source: ConfigSource) {
    this.#source = source;
    this.#root = isMap(source.raw) ? source.raw : {};
    if (!isMap(source.raw)) this.#problem([], "must be a map with the key path", EXAMPLE);
    for (const key of Object.keys(this.#root)) {
      if (TOP_KEYS.includes(key)) continue;
      const near = closest(key, TOP_KEYS);
      this.#problem(
        [key],
        "unknown key",
        near === undefined ? "keys here: path, scenarios" : `did you mean ${near}?`,
        "key",
      );
    }
  }

  hops(): readonly HopRequest[] {
    const raw = this.#root.path;
    if (!Array.isArray(raw)) {
      if (isMap(this.#source.raw))
        this.#problem(
          ["path"],
          raw === undefined ? "path is missing" : `must be a list of hops, not ${quoted(raw)}`,
          EXAMPLE,
        );
      return [];
    }
    if (raw.length < 2)
      this.#problem(["path"], "a path has at least two hops, a client and a server", EXAMPLE);
    if (raw.length > HOPS_MAX) this.#problem(["path"], `more than ${HOPS_MAX} hops`, undefined);
    return raw.slice(0, HOPS_MAX).flatMap((entry, index) => this.#hop(entry, ["path", index]) ?? []);
  }

  scenarios(): readonly Scenario[] {
    const raw = this.#root.scenarios;
    if (raw === undefined) return [];
    const list = Array.isArray(raw) ? raw : [raw];
    return list.flatMap((entry, index) => {
      const result = parseScenario(entry);
      if (result.ok) return [result.value];
      this.#problem(Array.isArray(raw) ? ["scenarios", index] : ["scenarios"], result.reason, result.hint);
      return [];
    });
  }

  #hop(raw: unknown, path: ConfigPath): HopRequest | undefined {
    if (typeof raw === "string") return this.#hopOf(raw, {}, path);
    if (!isMap(raw) || Object.keys(raw).length !== 1) {
      this.#problem(
        path,
        isMap(raw)
          ? "one hop per entry: a name and its settings"
          : `must be a name, or a name with settings, not ${quoted(raw)}`,
        EXAMPLE_HOP,
      );
      return undefined;
    }
    const [name, value] = Object.entries(raw)[0]!;
    const inner = [...path, name];
    if (isMap(value)) return this.#hopOf(name, value, inner);
    if (value === null) return this.#hopOf(name, {}, inner);
    // `- f5: 300s` says the same as f5=300s on the command line.
    const entry = findEntry(name);
    const key = entry === undefined ? "timeout" : mainKey(entry, String(value));
    return this.#hopOf(name, { [key]: value }, inner);
  }

  #hopOf(name: string, settings: RawMap, path: ConfigPath): HopRequest {
    const isFileKind = FILE_KINDS.includes(name as FileKind) && findEntry(name) === undefined;
    if (findEntry(name) === undefined && !isFileKind) {
      // Its settings cannot be judged: resolvePath() complains about the name, at this place.
      settings = {};
    }
    const overrides = Object.entries(settings)
      .filter(([key]) => !OWN_KEYS.includes(key))
      .map(([key, raw]): Override => ({ key, raw, source: { text: this.#place([...path, key]) } }));
    return {
      name: isFileKind ? undefined : name,
      label: this.#text(settings, "name", path),
      overrides,
      file: this.#file(name, settings, path),
      kernelFile:
        settings.ipvs === undefined && !this.#isSysctlBox(name)
          ? this.#fileName(settings, "sysctl", path)
          : undefined,
      complain: (message, hint, about) =>
        about === undefined
          ? this.#diagnostic(path, message, hint, "key")
          : this.#diagnostic([...path, about.key], message, hint, about.part),
    };
  }

  /** The box whose own time-outs a sysctl file has. */
  #isSysctlBox(name: string): boolean {
    return name.startsWith("conntrack") || name === "sysctl";
  }

  #file(name: string, settings: RawMap, path: ConfigPath): FileRequest | undefined {
    const ipvs = this.#fileName(settings, "ipvs", path);
    if (ipvs !== undefined) return { kind: "ipvs", path: ipvs, selector: undefined };
    if (this.#isSysctlBox(name)) {
      const sysctl = this.#fileName(settings, "sysctl", path) ?? this.#fileName(settings, "file", path);
      return sysctl === undefined ? undefined : { kind: "sysctl", path: sysctl, selector: undefined };
    }
    const file = this.#fileName(settings, "file", path);
    const parts = SELECTOR_KEYS.flatMap((key) => {
      const text = this.#text(settings, key, path);
      return text === undefined
        ? []
        : [key === "location" || key === "backend" || key === "pool" ? `/${text.replace(/^\//, "")}` : text];
    });
    if (file === undefined) {
      if (parts.length > 0)
        this.#problem(path, "selects a part of a file, and names no file", "add file: nginx.conf");
      return undefined;
    }
    const kind = this.#kindOf(name, file);
    const order = (part: string): number => (part.startsWith("/") ? 1 : 0);
    const selector = parts
      .toSorted((a, b) => order(a) - order(b))
      .reduce((all, part) => all + (all === "" || part.startsWith("/") ? "" : ":") + part, "");
    return { kind, path: file, selector: selector === "" ? undefined : selector };
  }

  #kindOf(name: string, file: string): FileKind {
    const base = name.replace(/-.*$/, "");
    if (base === "lvs") return "keepalived";
    return FILE_KINDS.find((kind) => kind === base) ?? fileKindOf(file) ?? "nginx";
  }

  /** Relative to PATH.yaml, wherever the command is run. */
  #fileName(settings: RawMap, key: string, path: ConfigPath): string | undefined {
    const text = this.#text(settings, key, path);
    if (text === undefined || text.startsWith("/")) return text;
    const { file } = this.#source;
    return file.slice(0, file.lastIndexOf("/") + 1) + text;
  }

  #text(settings: RawMap, key: string, path: ConfigPath): string | undefined {
    const raw = Object.hasOwn(settings, key) ? settings[key] : undefined;
    if (raw === undefined) return undefined;
    if ((typeof raw === "string" && raw !== "") || typeof raw === "number") return String(raw);
    this.#problem([...path, key], `must be a text, not ${quoted(raw)}`, undefined);
    return undefined;
  }

  #place(path: ConfigPath): string {
    const { file } = this.#source;
    return `${file.slice(file.lastIndexOf("/") + 1)}:${this.#source.locate(path).line}`;
  }

  #problem(
    path: ConfigPath,
    message: string,
    hint: string | undefined,
    part: "key" | "value" = "value",
  ): void {
    this.problems.push(this.#diagnostic(path, message, hint, part));
  }

  #diagnostic(
    path: ConfigPath,
    message: string,
    hint: string | undefined,
    part: "key" | "value",
  ): Diagnostic {
    const { file } = this.#source;
    return {
      severity: "error",
      file,
      ...this.#source.locate(path, part),
      path: formatPath(path),
      message,
      hint,
    };
  }
}

const EXAMPLE = "write path: [ client, aws-nlb, node-http ]";
const EXAMPLE_HOP = "write - aws-nlb, or - aws-nlb: { timeout: 350s }";
