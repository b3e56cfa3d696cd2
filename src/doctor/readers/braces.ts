/**
 * The syntax that nginx.conf and keepalived.conf share in outline: words, blocks in braces, comments. nginx ends a directive with `;`
 * and has quotes and escapes (ngx_conf_read_token in ngx_conf_file.c); keepalived ends it with the line, and comments begin with `#` or `!`.
 * Pure, never throws, linear in the text. Called by nginx.ts and keepalived.ts.
 */
import type { Diagnostic } from "../../config/diagnostics.ts";
import { type Place, problemAt } from "./reading.ts";

export interface Directive extends Place {
  readonly name: string;
  readonly args: readonly string[];
  /** undefined: no braces. */
  readonly block: readonly Directive[] | undefined;
}

export type Dialect = "nginx" | "keepalived";

/** Real files have four or five levels; a file of nothing but `{` must not exhaust the stack of whoever walks the result. */
const DEPTH_MAX = 32;
const DIRECTIVES_MAX = 200_000;
const PROBLEMS_MAX = 20;

type Token = {
  readonly kind: "word" | "{" | "}" | ";" | "line";
  readonly text: string;
  readonly line: number;
  readonly column: number;
};

export function parseBraces(
  text: string,
  file: string,
  dialect: Dialect,
): { readonly directives: readonly Directive[]; readonly problems: readonly Diagnostic[] } {
  return new BraceParser(text, file, dialect).parse();
}

class BraceParser {
  readonly #file: string;
  readonly #dialect: Dialect;
  readonly #tokens: Tokenizer;
  readonly #problems: Diagnostic[] = [];
  #directives = 0;

  constructor(text: string, file: string, dialect: Dialect) {
    this.#file = file;
    this.#dialect = dialect;
    this.#tokens = new Tokenizer(text, dialect, (line, column, message, hint) =>
      this.#problem(line, column, message, hint),
    );
  }

  parse(): { directives: readonly Directive[]; problems: readonly Diagnostic[] } {
    const stack: { block: Directive[]; openedAt: Token | undefined }[] = [{ block: [], openedAt: undefined }];
    let words: Token[] = [];
    const finish = (block: Directive[] | undefined): void => {
      const [first, ...rest] = words;
      words = [];
      if (first === undefined) return;
      this.#directives++;
      stack.at(-1)!.block.push({
        file: this.#file,
        line: first.line,
        column: first.column,
        name: first.text,
        args: rest.map(({ text }) => text),
        block,
      });
    };
    for (let token = this.#tokens.next(); token !== undefined; token = this.#tokens.next()) {
      if (this.#problems.length >= PROBLEMS_MAX || this.#directives > DIRECTIVES_MAX) break;
      switch (token.kind) {
        case "word":
          words.push(token);
          break;
        case ";":
        case "line":
          finish(undefined);
          break;
        case "{": {
          if (words.length === 0)
            this.#problem(
              token.line,
              token.column,
              "a block has no name",
              "write a directive before the brace",
            );
          if (stack.length > DEPTH_MAX) {
            this.#problem(
              token.line,
              token.column,
              `blocks are nested more than ${DEPTH_MAX} deep`,
              undefined,
            );
            return { directives: stack[0]!.block, problems: this.#problems };
          }
          const block: Directive[] = [];
          // Lua has braces and quotes of its own.
          if (words[0]?.text.endsWith("_by_lua_block") === true) this.#tokens.skipToEndOfBlock();
          if (words.length === 0) words.push(token);
          finish(block);
          stack.push({ block, openedAt: token });
          break;
        }
        case "}":
          this.#endOfBlock(words, token);
          finish(undefined);
          if (stack.length > 1) stack.pop();
          else this.#problem(token.line, token.column, 'unexpected "}"', "there is no block to end here");
      }
    }
    this.#endOfFile(
      words,
      stack.slice(1).map(({ openedAt }) => openedAt!),
    );
    finish(undefined);
    return { directives: stack[0]!.block, problems: this.#problems };
  }

  #endOfBlock(words: readonly Token[], token: Token): void {
    if (words.length > 0 && this.#dialect === "nginx")
      this.#problem(token.line, token.column, 'unexpected "}"', `end "${words[0]!.text}" with a semicolon`);
  }

  #endOfFile(words: readonly Token[], open: readonly Token[]): void {
    const unfinished = words[0];
    if (unfinished !== undefined && this.#dialect === "nginx")
      this.#problem(
        unfinished.line,
        unfinished.column,
        `"${clip(unfinished.text)}" is not ended`,
        'a semicolon or a "{" is missing',
      );
    const brace = open.at(-1);
    if (brace !== undefined)
      this.#problem(brace.line, brace.column, "this block is not ended", 'a "}" is missing');
  }

  #problem(line: number, column: number, message: string, hint: string | undefined): void {
    if (this.#problems.length < PROBLEMS_MAX)
      this.#problems.push(problemAt({ file: this.#file, line, column }, message, hint));
  }
}

type Report = (line: number, column: number, message: string, hint: string | undefined) => void;

class Tokenizer {
  readonly #text: string;
  readonly #dialect: Dialect;
  readonly #report: Report;
  #at = 0;
  #line = 1;
  #lineStart = 0;

  constructor(text: string, dialect: Dialect, report: Report) {
    this.#text = text;
    this.#dialect = dialect;
    this.#report = report;
  }

  next(): Token | undefined {
    while (this.#at < this.#text.length) {
      const character = this.#text[this.#at]!;
      if (character === "\n") {
        const token = this.#token("line", "\n");
        this.#newLine();
        if (this.#dialect === "keepalived") return token;
      } else if (/\s/.test(character)) this.#at++;
      else if (character === "#" || (character === "!" && this.#dialect === "keepalived"))
        this.#skipComment();
      else if (character === "{" || character === "}" || (character === ";" && this.#dialect === "nginx")) {
        const token = this.#token(character as "{", character);
        this.#at++;
        return token;
      } else return character === '"' || character === "'" ? this.#quotedWord(character) : this.#word();
    }
    return undefined;
  }

  /** Leaves the brace that ends the block that has just begun. Braces in Lua's strings are balanced often enough. */
  skipToEndOfBlock(): void {
    for (let depth = 1; this.#at < this.#text.length; this.#at++) {
      const character = this.#text[this.#at];
      if (character === "{") depth++;
      if (character === "}" && --depth === 0) return;
      if (character === "\n") {
        this.#line++;
        this.#lineStart = this.#at + 1;
      }
    }
  }

  #word(): Token {
    const token = this.#token("word", "");
    let text = "";
    while (this.#at < this.#text.length) {
      const character = this.#text[this.#at]!;
      // `${name}` is a variable inside a word, not a block.
      if (character === "$" && this.#text[this.#at + 1] === "{" && this.#dialect === "nginx") {
        const end = this.#text.indexOf("}", this.#at);
        const lineEnd = this.#text.indexOf("\n", this.#at);
        if (end > 0 && (lineEnd < 0 || end < lineEnd)) {
          text += this.#text.slice(this.#at, end + 1);
          this.#at = end + 1;
          continue;
        }
      }
      if (/[\s{};]/.test(character) && !(character === ";" && this.#dialect === "keepalived")) break;
      if (character === "}" && this.#dialect === "keepalived") break;
      if (character === "\\" && this.#dialect === "nginx") {
        text += this.#text.slice(this.#at, this.#at + 2);
        if (this.#text[this.#at + 1] === "\n") {
          this.#at++;
          this.#newLine();
        } else this.#at += 2;
        continue;
      }
      text += character;
      this.#at++;
    }
    return { ...token, text };
  }

  #quotedWord(quote: string): Token {
    const token = this.#token("word", "");
    let text = "";
    this.#at++;
    while (this.#at < this.#text.length) {
      const character = this.#text[this.#at]!;
      if (character === quote) {
        this.#at++;
        return { ...token, text };
      }
      if (character === "\n") {
        if (this.#dialect === "keepalived") break;
        text += character;
        this.#newLine();
        continue;
      }
      if (character === "\\" && this.#at + 1 < this.#text.length && this.#text[this.#at + 1] !== "\n") {
        const escaped = this.#text[this.#at + 1]!;
        text += escaped === quote || escaped === "\\" ? escaped : `\\${escaped}`;
        this.#at += 2;
        continue;
      }
      text += character;
      this.#at++;
    }
    this.#report(token.line, token.column, "a quote is not closed", `a ${quote} is missing`);
    return { ...token, text };
  }

  #skipComment(): void {
    const end = this.#text.indexOf("\n", this.#at);
    this.#at = end < 0 ? this.#text.length : end;
  }

  #newLine(): void {
    this.#at++;
    this.#line++;
    this.#lineStart = this.#at;
  }

  #token(kind: Token["kind"], text: string): Token {
    return { kind, text, line: this.#line, column: this.#at - this.#lineStart + 1 };
  }
}

function clip(text: string): string {
  return text.length > 40 ? `${text.slice(0, 37)}...` : text;
}
