/**
 * What somebody asked `holdfast predict` to look at, before anything is looked up: the common result of PATH.yaml (path-file.ts) and
 * of words on the command line (path-words.ts). Values only; path-resolution.ts turns it into hops.
 */
import type { Diagnostic } from "../config/diagnostics.ts";
import type { Override } from "./catalogue-entry.ts";
import type { Scenario } from "./fate.ts";

/** Kinds of configuration files that make a hop; `sysctl` alone makes an end point or a conntrack box. */
export const FILE_KINDS = ["nginx", "haproxy", "keepalived", "holdfast", "ipvs", "sysctl"] as const;
export type FileKind = (typeof FILE_KINDS)[number];

export interface FileRequest {
  readonly kind: FileKind;
  readonly path: string;
  /** Which part of it: a port, a name, `80/api`; undefined: the only one. */
  readonly selector: string | undefined;
}

export interface HopRequest {
  /** A name of the catalogue; undefined: the file says what it is. */
  readonly name: string | undefined;
  /** What the operator calls it. */
  readonly label: string | undefined;
  readonly overrides: readonly Override[];
  readonly file: FileRequest | undefined;
  /** A sysctl file or output: what the kernel of this hop gives to sockets that set nothing. */
  readonly kernelFile: string | undefined;
  /** A diagnostic at this hop, with line and column where it has any; without `about`, of the hop itself. */
  readonly complain: (message: string, hint: string | undefined, about?: SettingPart) => Diagnostic;
}

/** A setting of the hop: the word itself is wrong, or its value. */
export interface SettingPart {
  readonly key: string;
  readonly part: "key" | "value";
}

export interface PathRequest {
  readonly hops: readonly HopRequest[];
  /** Empty: the usual ones. */
  readonly scenarios: readonly Scenario[];
}

export type RequestResult =
  | { readonly ok: true; readonly request: PathRequest }
  | { readonly ok: false; readonly diagnostics: readonly Diagnostic[] };

/** Which kind a configuration file is, by its name; its content is not looked at. */
export function fileKindOf(path: string): FileKind | undefined {
  const base = path.slice(path.lastIndexOf("/") + 1).toLowerCase();
  if (/sysctl/.test(base)) return "sysctl";
  if (/ipvs/.test(base)) return "ipvs";
  if (/keepalived/.test(base)) return "keepalived";
  if (/haproxy|\.cfg$/.test(base)) return "haproxy";
  if (/\.ya?ml$/.test(base)) return "holdfast";
  if (/nginx|\.conf$/.test(base)) return "nginx";
  return undefined;
}
