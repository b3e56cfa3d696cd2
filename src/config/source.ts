/**
 * The YAML text of a configuration file: its values, its syntax errors, and where each value stands. Wraps the `yaml`
 * package (YAML 1.2, so `off` and `60:10:6` are strings); nothing else knows about its nodes. Called by load.ts.
 */
import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  visit,
  type YAMLError,
} from "yaml";
import type { ConfigPath, Diagnostic, SourcePosition } from "./diagnostics.ts";

export class ConfigSource {
  readonly file: string;
  /** The values; undefined when the text could not be read. */
  readonly raw: unknown;
  readonly diagnostics: readonly Diagnostic[];
  readonly #root: Node | null;
  readonly #resolveAlias: (node: Node) => Node | undefined;
  readonly #lines = new LineCounter();

  constructor(text: string, file: string) {
    this.file = file;
    const document = parseDocument(text, {
      lineCounter: this.#lines,
      prettyErrors: false,
      merge: true,
      logLevel: "error",
    });
    this.#root = document.contents;
    this.#resolveAlias = (node) => (isAlias(node) ? node.resolve(document) : node);
    const problems = [...document.errors, ...document.warnings];
    const diagnostics = problems.slice(0, SHOWN_MAX).map((error) => this.#describe(error, text));
    if (problems.length > SHOWN_MAX) {
      const message = `and ${problems.length - SHOWN_MAX} more of the kind`;
      diagnostics.push(this.#at("error", problems[SHOWN_MAX]!.pos[0], message, "is this the right file?"));
    }
    diagnostics.push(...this.#checkAliases(document));
    this.raw = diagnostics.every(isDuplicateKey) ? this.#toValues(document, diagnostics) : undefined;
    this.diagnostics = diagnostics;
  }

  /** Whether the values can be trusted although there are errors: a key written twice leaves the rest readable. */
  get isReadable(): boolean {
    return this.raw !== undefined && this.diagnostics.every(isDuplicateKey);
  }

  /** The value at a path, or its key; the nearest thing around it when the path itself is not in the file. */
  locate(path: ConfigPath, part: "key" | "value" = "value"): SourcePosition {
    const { node } = this.#find(path, part);
    return this.#position(node?.range?.[0] ?? 0);
  }

  /** The part of the path that is in the file, or could be: what lies inside a scalar was put there by a short form. */
  writtenPath(path: ConfigPath): ConfigPath {
    const { node, depth } = this.#find(path, "value");
    const wasShortened = depth < path.length && (!isMap(node) || typeof path[depth] === "number");
    return wasShortened ? path.slice(0, depth) : path;
  }

  /** One walk: alias.resolve() walks the whole file for each alias, and an anchor stands before its aliases anyway. */
  #checkAliases(document: Document): readonly Diagnostic[] {
    const anchors = new Set<string>();
    const found: Diagnostic[] = [];
    let count = 0;
    visit(document, {
      Node: (_key, node) => {
        if (!isAlias(node)) {
          if (node.anchor !== undefined) anchors.add(node.anchor);
          return undefined;
        }
        const offset = node.range?.[0] ?? 0;
        if (++count > ALIASES_MAX) {
          const message = `cannot be read: more than ${ALIASES_MAX} aliases`;
          found.push(this.#at("error", offset, message, "use fewer aliases"));
          return visit.BREAK;
        }
        if (!anchors.has(node.source) && found.length < SHOWN_MAX) {
          const message = `*${node.source} refers to an anchor (&${node.source}) that is not in the file`;
          found.push(this.#at("error", offset, message, 'to write a star, use quotes: "*:8080"'));
        }
        return undefined;
      },
    });
    return found;
  }

  #toValues(document: Document, diagnostics: Diagnostic[]): unknown {
    try {
      return document.toJS({ maxAliasCount: 100 });
    } catch (error) {
      // Left after the checks above: aliases that expand to a file of any size ("billion laughs").
      diagnostics.push(
        this.#at("error", 0, `cannot be read: ${(error as Error).message}`, "use fewer aliases"),
      );
      return undefined;
    }
  }

  #find(path: ConfigPath, part: "key" | "value"): { node: Node | null; depth: number } {
    let node: Node | null = this.#root;
    for (let depth = 0; depth < path.length; depth++) {
      const segment = path[depth]!;
      const inner = node === null ? undefined : this.#resolveAlias(node);
      let next: Node | null | undefined;
      if (isMap(inner)) {
        const pair = inner.items.find(({ key }) => isScalar(key) && String(key.value) === String(segment)) as
          | Pair<Node, Node | null>
          | undefined;
        const wantsKey = part === "key" && depth === path.length - 1;
        next = pair === undefined || wantsKey || pair.value === null ? pair?.key : pair.value;
      } else if (isSeq(inner)) {
        next = inner.items[Number(segment)] as Node | undefined;
      }
      if (next === undefined || next === null) return { node, depth };
      node = next;
    }
    return { node, depth: path.length };
  }

  #position(offset: number): SourcePosition {
    const { line, col } = this.#lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  }

  /** Cut out, not split: a broken file of megabytes has an error in each line. */
  #lineAt(offset: number, text: string): string {
    const { line } = this.#position(offset);
    const begin = this.#lines.lineStarts[line - 1] ?? 0;
    const end = this.#lines.lineStarts[line] ?? text.length;
    return text.slice(begin, Math.min(end, begin + LINE_LENGTH_MAX)).replace(/\r?\n$/, "");
  }

  #at(
    severity: Diagnostic["severity"],
    offset: number,
    message: string,
    hint: string | undefined,
  ): Diagnostic {
    return { severity, file: this.file, ...this.#position(offset), path: "", message, hint };
  }

  #describe(error: YAMLError, text: string): Diagnostic {
    const [start] = error.pos;
    const lineText = this.#lineAt(start, text);
    if (error.code === "DUPLICATE_KEY") {
      const name = /^[^:\s]*/.exec(text.slice(start))![0];
      return this.#at("error", start, `"${name}" ${DUPLICATE_KEY_SUFFIX}`, "keep one of them");
    }
    return this.#at(
      "error",
      start,
      `not valid YAML: ${SYNTAX_MESSAGES[error.code] ?? error.message}`,
      syntaxHint(error.code, lineText),
    );
  }
}

/** A file that is no YAML at all has an error in every line: nobody reads a million of them. */
const SHOWN_MAX = 50;

/** Each is looked for in the whole file when its value is read. */
const ALIASES_MAX = 1000;

/** What a hint is looked for in: nobody writes longer lines, and the patterns are not made for them. */
const LINE_LENGTH_MAX = 400;

/** Where the package's own words speak to programmers. */
const SYNTAX_MESSAGES: Readonly<Record<string, string>> = {
  TAG_RESOLVE_FAILED: "tags (!name) have no meaning here",
  MULTIPLE_DOCS: "a second document begins here (---); the file must hold one",
};

const DUPLICATE_KEY_SUFFIX = "is written twice in this map";

function isDuplicateKey({ message }: Diagnostic): boolean {
  return message.endsWith(DUPLICATE_KEY_SUFFIX);
}

function syntaxHint(code: string, lineText: string): string | undefined {
  if (/so_keepalive:\s*[^"'\s]\S*:\s*$/.test(lineText)) {
    return 'YAML takes the last colon for a key: put the value in quotes, so_keepalive: ":10s:"';
  }
  if (/balance:\s*hash:/.test(lineText)) return "write balance: {hash: source}";
  if (/\t/.test(lineText)) return "YAML allows no tabs in the indentation: use spaces";
  if (/:\s*\[[^\]]*:/.test(lineText) && !lineText.includes('"'))
    return 'put IPv6 addresses in quotes: "[::]:8080"';
  if (code === "BAD_INDENT" || code === "MULTILINE_IMPLICIT_KEY") {
    return "check that keys of one map begin in the same column and that each is followed by a colon and a space";
  }
  return undefined;
}
