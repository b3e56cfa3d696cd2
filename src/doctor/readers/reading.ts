/**
 * What the readers of configuration files have in common: where a value stood, what a reading results in, and files as an argument.
 * Pure: a reader is given `ConfigFiles` and never opens anything itself. Called by every file of this folder and path-resolution.ts.
 */
import type { Diagnostic } from "../../config/diagnostics.ts";
import type { Setting } from "../hop-settings.ts";

export interface ConfigFiles {
  /** The text of a file, or why there is none, in words. */
  read(
    path: string,
  ): { readonly ok: true; readonly text: string } | { readonly ok: false; readonly reason: string };
  /** Paths that match a pattern with `*`, `?` and `[…]`, sorted. */
  glob(pattern: string): readonly string[];
}

export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column?: number;
}

/** A hop as a file describes it: which catalogue entry it is one of, and what the file says about it. */
export interface ReadHop {
  readonly entryName: string;
  /** "nginx.conf:12, server on port 80" */
  readonly where: string;
  readonly settings: Readonly<Record<string, Setting>>;
  readonly notes: readonly string[];
}

export type ReadResult =
  | { readonly ok: true; readonly hop: ReadHop; readonly warnings: readonly Diagnostic[] }
  | { readonly ok: false; readonly diagnostics: readonly Diagnostic[] };

export function problemAt(place: Place, message: string, hint?: string): Diagnostic {
  const { file, line, column = 1 } = place;
  return { severity: "error", file, line, column: line === 0 ? 0 : column, path: "", message, hint };
}

export function warningAt(place: Place, message: string, hint?: string): Diagnostic {
  return { ...problemAt(place, message, hint), severity: "warning" };
}

export function refusedReading(...diagnostics: readonly Diagnostic[]): ReadResult {
  return { ok: false, diagnostics };
}

/** "nginx.conf:12"; the directory would only be noise beside a value. */
export function shortPlace({ file, line }: Place): string {
  return `${file.slice(file.lastIndexOf("/") + 1)}:${line}`;
}

export function settingFrom(
  label: string,
  text: string,
  place: Place | undefined,
  otherwise = "default",
): Setting {
  return { label, text, source: { text: place === undefined ? otherwise : shortPlace(place) } };
}

/** "a, b and 3 more": selectors to choose from. */
export function shortList(names: readonly string[], shown = 8): string {
  if (names.length <= shown) return names.join(", ");
  return `${names.slice(0, shown).join(", ")} and ${names.length - shown} more`;
}
