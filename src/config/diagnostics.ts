/**
 * A problem in the configuration file, as a value: where it is, what it is, how to mend it. Pure.
 * Produced by load.ts, lint.ts and resolve.ts; printed by `holdfast check`, `run` and a refused reload.
 */

/** Keys and list indexes from the top of the file: ["pools", "web", "servers", 0]. */
export type ConfigPath = readonly (string | number)[];

export interface SourcePosition {
  /** From 1; 0: the problem is the file, not a place in it. */
  readonly line: number;
  readonly column: number;
}

export interface Diagnostic extends SourcePosition {
  readonly severity: "error" | "warning";
  readonly file: string;
  /** "pools.web.servers[0].weight"; empty for the file itself. */
  readonly path: string;
  readonly message: string;
  readonly hint: string | undefined;
}

/** `FILE:LINE:COLUMN: error: PATH: MESSAGE`, and the hint indented below it. */
export function formatDiagnostic(diagnostic: Diagnostic): string {
  const { file, line, column, severity, path, message, hint } = diagnostic;
  const place = line === 0 ? file : `${file}:${line}:${column}`;
  const subject = path === "" ? "" : `${path}: `;
  return printable(
    `${place}: ${severity}: ${subject}${message}${hint === undefined ? "" : `\n  hint: ${hint}`}`,
  );
}

/** What stands in a file must not drive the terminal that shows it: control characters and turned text are spelled out. */
export function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Bidi_Control}]/gu, (character) =>
    character === "\n" ? character : `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** In the order of the file; errors before warnings at one place. */
export function sortDiagnostics(diagnostics: readonly Diagnostic[]): Diagnostic[] {
  return diagnostics.toSorted(
    (a, b) => a.line - b.line || a.column - b.column || a.severity.localeCompare(b.severity),
  );
}

export function formatPath(path: ConfigPath): string {
  let text = "";
  for (const segment of path) {
    if (typeof segment === "number") text += `[${segment}]`;
    else text += text === "" ? segment : `.${segment}`;
  }
  return text;
}
