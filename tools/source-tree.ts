/**
 * Reads the project's TypeScript sources as text for tools/tidy.test.ts: comments and code apart, imports with their lines,
 * functions with their lengths. No compiler API (TypeScript 7 has none): the sources are formatted by Biome, so indentation
 * can be trusted to say where a function ends.
 */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";

export interface ImportEdge {
  /** As written: `node:fs`, `koffi`, `./machine.ts`. */
  readonly specifier: string;
  /** Path in the project when the import is relative. */
  readonly target: string | undefined;
  /** `import type`, or every name in the braces is a `type`: erased, so no edge at run time. */
  readonly isTypeOnly: boolean;
  readonly line: number;
}

export interface FunctionSpan {
  readonly name: string;
  readonly line: number;
  readonly lines: number;
}

export interface SourceFile {
  /** Relative to the project, with forward slashes: `src/tcp/so-keepalive.ts`. */
  readonly path: string;
  readonly text: string;
  /** The text with comments and the insides of strings blanked; line numbers stay. */
  readonly code: string;
  /** The text with everything but comments blanked. */
  readonly comments: string;
  readonly imports: readonly ImportEdge[];
}

export function readSourceTree(root: string, folders: readonly string[]): Map<string, SourceFile> {
  const files = new Map<string, SourceFile>();
  for (const folder of folders) {
    for (const relative of typescriptFilesBelow(root, folder)) {
      files.set(relative, parseSource(relative, readFileSync(path.join(root, relative), "utf8")));
    }
  }
  return files;
}

function typescriptFilesBelow(root: string, folder: string): string[] {
  return readdirSync(path.join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const relative = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return entry.name === "node_modules" ? [] : typescriptFilesBelow(root, relative);
    return entry.name.endsWith(".ts") ? [relative] : [];
  });
}

export function parseSource(relativePath: string, text: string): SourceFile {
  const { code, comments } = separate(text);
  return { path: relativePath, text, code, comments, imports: findImports(relativePath, text, code) };
}

const blank = (text: string): string => text.replace(/[^\n]/g, " ");

/** What may stand before a `/` that begins a regular expression rather than a division. */
const BEFORE_REGEX = /(?:^|[=(,:[!&|?{};+\-*%<>~^]|\b(?:return|typeof|case|in|of|void|throw|await))\s*$/;

/** One alternative per lexical kind; templates are blanked whole, nested ones included up to their own backticks. */
const TOKEN =
  /(?<comment>\/\/[^\n]*|\/\*[\s\S]*?\*\/)|(?<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|(?<template>`(?:[^`\\$]|\\[\s\S]|\$(?!\{)|\$\{(?:[^{}`]|`[^`]*`|\{[^{}]*\})*\})*`)|(?<slash>\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*)/g;

function separate(text: string): { code: string; comments: string } {
  let code = "";
  let comments = "";
  let last = 0;
  TOKEN.lastIndex = 0;
  for (let match = TOKEN.exec(text); match !== null; match = TOKEN.exec(text)) {
    const token = match[0];
    const between = text.slice(last, match.index);
    code += between;
    comments += blank(between);
    const { comment, slash } = match.groups!;
    if (slash !== undefined && !BEFORE_REGEX.test(code.slice(-40))) {
      // A division: step over the slash alone.
      code += "/";
      comments += " ";
      last = match.index + 1;
      TOKEN.lastIndex = last;
      continue;
    }
    code += comment === undefined ? token[0] + blank(token.slice(1, -1)) + token.at(-1) : blank(token);
    comments += comment === undefined ? blank(token) : token;
    last = match.index + token.length;
  }
  return { code: code + text.slice(last), comments: comments + blank(text.slice(last)) };
}

function findImports(from: string, text: string, code: string): ImportEdge[] {
  const edges: ImportEdge[] = [];
  // Found in the blanked code (so never inside a comment or string); the specifier is then read from the text.
  const pattern = /^(?:import|export)\b(?<clause>[^;"']*?)(?:\bfrom\s*)?"|\bimport\(\s*"/gm;
  for (const match of code.matchAll(pattern)) {
    const quote = match.index + match[0].length - 1;
    const clause = match.groups?.clause;
    // `export const x = "…"` is no import.
    if (clause !== undefined && /^export\b/.test(match[0]) && !/\bfrom\s*"$/.test(match[0])) continue;
    const specifier = text.slice(quote + 1, text.indexOf('"', quote + 1));
    edges.push({
      specifier,
      target: specifier.startsWith(".") ? path.posix.join(path.posix.dirname(from), specifier) : undefined,
      isTypeOnly: clause !== undefined && isTypeOnlyClause(clause),
      line: lineAt(text, match.index),
    });
  }
  return edges;
}

function isTypeOnlyClause(clause: string): boolean {
  if (/^\s*type\b/.test(clause)) return true;
  const names = clause
    .match(/^\s*\{([^}]*)\}\s*$/)?.[1]
    ?.split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
  return names !== undefined && names.length > 0 && names.every((name) => name.startsWith("type "));
}

export function lineAt(text: string, index: number): number {
  let line = 1;
  for (let at = text.indexOf("\n"); at >= 0 && at < index; at = text.indexOf("\n", at + 1)) line++;
  return line;
}

const FUNCTION_START = [
  /^(?<indent>\s*)(?:export )?(?:default )?(?:async )?function\*? (?<name>[\w$]+)/,
  /^(?<indent>\s*)(?:export )?const (?<name>[\w$]+) = (?:async )?(?:<.*>)?\(.*(?:=> \{|\($|,$|\()$/,
  /^(?<indent>\s+)(?:(?:private|protected|public|static|override|async|get|set) )*\*?(?<name>#?[\w$]+|\[Symbol\.\w+\])(?:<.*>)?\((?:.*\{|)$/,
];
const NOT_A_NAME = new Set([
  "if",
  "for",
  "while",
  "switch",
  "catch",
  "return",
  "await",
  "function",
  "super",
  "do",
  "else",
]);

export function findFunctions(code: string): FunctionSpan[] {
  const lines = code.split("\n");
  const spans: FunctionSpan[] = [];
  lines.forEach((text, index) => {
    for (const pattern of FUNCTION_START) {
      const match = pattern.exec(text);
      if (match === null || NOT_A_NAME.has(match.groups!.name!)) continue;
      const end = functionEnd(lines, index, match.groups!.indent!);
      if (end !== undefined)
        spans.push({ name: match.groups!.name!, line: index + 1, lines: end - index + 1 });
      return;
    }
  });
  return spans;
}

/** The header may take several lines; the body opens on the first line of the same indentation that ends with a brace. */
function functionEnd(lines: readonly string[], start: number, indent: string): number | undefined {
  const isOwnIndent = (line: string): boolean =>
    line.startsWith(indent) && line[indent.length] !== " " && line.trim() !== "";
  let isOpen = false;
  for (let at = start; at < lines.length; at++) {
    const line = lines[at]!;
    if (!isOwnIndent(line)) continue;
    if (isOpen) {
      if (line.trim().startsWith("}")) return at;
    } else if (line.trimEnd().endsWith("{")) isOpen = true;
    else if (at > start && !line.trim().startsWith(")")) return undefined;
    else if (line.trimEnd().endsWith(";") || line.trimEnd().endsWith("}")) return undefined;
  }
  return undefined;
}
