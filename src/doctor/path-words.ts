/**
 * A path as words of the command line: `client aws-nlb nginx.conf:80 haproxy.cfg:web node-http`.
 *
 *   NAME              a name of the catalogue
 *   NAME=VALUE        its idle time-out (or so_keepalive of an end point): f5=300s, client=60s:10s:6
 *   …,KEY=VALUE       more settings: azure-lb=4m,tcp_reset=on
 *   FILE[:SELECTOR]   a configuration file, its kind told by its name, or by KIND: in front: nginx:./site:80
 *   sysctl:FILE       between hops a conntrack box, at an end that end's kernel;  ipvs:FILE  an LVS box
 *   WORD@FILE         that hop's kernel defaults (sysctl)
 *
 * Pure. Called by cli/predict.ts.
 */
import type { Diagnostic } from "../config/diagnostics.ts";
import { findEntry } from "./catalogue.ts";
import { mainKey, type Override } from "./catalogue-entry.ts";
import {
  FILE_KINDS,
  type FileKind,
  type FileRequest,
  fileKindOf,
  type HopRequest,
  type RequestResult,
} from "./path-request.ts";

const SOURCE = { text: "command line" };

export function parsePathWords(words: readonly string[]): RequestResult {
  const diagnostics: Diagnostic[] = [];
  const hops = words.flatMap((word) => {
    const result = parseWord(word);
    if (result.ok) return [result.hop];
    diagnostics.push(result.problem);
    return [];
  });
  return diagnostics.length > 0 ? { ok: false, diagnostics } : { ok: true, request: { hops, scenarios: [] } };
}

type WordResult =
  | { readonly ok: true; readonly hop: HopRequest }
  | { readonly ok: false; readonly problem: Diagnostic };

function parseWord(word: string): WordResult {
  const complain: HopRequest["complain"] = (message, hint, about) => ({
    severity: "error",
    file: `"${word}"`,
    line: 0,
    column: 0,
    path: about?.key ?? "",
    message,
    hint,
  });
  const at = word.lastIndexOf("@");
  const kernelFile = at > 0 ? word.slice(at + 1) : undefined;
  const text = at > 0 ? word.slice(0, at) : word;
  if (kernelFile === "")
    return {
      ok: false,
      problem: complain("no file after @", "write NAME@FILE, where FILE has the output of sysctl -a"),
    };
  const [first = "", ...settings] = text.split(",");
  const file = parseFileWord(first);
  const overrides: Override[] = [];
  let name: string | undefined;
  if (file === undefined) {
    const equals = first.indexOf("=");
    name = equals < 0 ? first : first.slice(0, equals);
    const value = first.slice(equals + 1);
    const entry = findEntry(name);
    if (equals >= 0 && entry !== undefined)
      overrides.push({ key: mainKey(entry, value), raw: value, source: SOURCE });
  } else if (file.path === "") {
    return { ok: false, problem: complain(`no file after ${file.kind}:`, `write ${file.kind}:FILE`) };
  }
  for (const setting of settings) {
    const equals = setting.indexOf("=");
    if (equals <= 0)
      return {
        ok: false,
        problem: complain(`"${setting}" is not KEY=VALUE`, "example: azure-lb=4m,tcp_reset=on"),
      };
    overrides.push({ key: setting.slice(0, equals), raw: setting.slice(equals + 1), source: SOURCE });
  }
  return { ok: true, hop: { name, label: undefined, overrides, file, kernelFile, complain } };
}

/** Names of the catalogue have neither dots nor slashes; what has one before any `=` is a file. */
function parseFileWord(word: string): FileRequest | undefined {
  const prefix = /^([a-z]+):/.exec(word)?.[1];
  const isKind = (text: string | undefined): text is FileKind => FILE_KINDS.includes(text as FileKind);
  if (isKind(prefix)) return splitSelector(prefix, word.slice(prefix.length + 1));
  if (!/^[^=]*[./]/.test(word)) return undefined;
  const request = splitSelector("nginx", word);
  return { ...request, kind: fileKindOf(request.path) ?? "nginx" };
}

/** The selector begins at the first colon after the last dot or slash of the file's name: `nginx.conf:80/api`. */
function splitSelector(kind: FileKind, text: string): FileRequest {
  const colon = text.indexOf(":");
  if (colon < 0) return { kind, path: text, selector: undefined };
  return { kind, path: text.slice(0, colon), selector: text.slice(colon + 1) || undefined };
}
