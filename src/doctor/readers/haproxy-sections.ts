/**
 * The sections of haproxy.cfg, what each inherits from its `defaults` (the last one before it, or the one named by `from`), and the pair
 * of sections that serves a connection. Words as in the configuration manual, section 2.2: quotes, backslashes, `#`. Pure. Called by haproxy.ts.
 */
import type { Diagnostic } from "../../config/diagnostics.ts";
import { type Place, problemAt, shortList } from "./reading.ts";

export interface HaproxyLine extends Place {
  readonly keyword: string;
  readonly args: readonly string[];
  readonly isNegated: boolean;
}

export interface HaproxySection extends Place {
  readonly kind: string;
  readonly name: string;
  readonly lines: readonly HaproxyLine[];
  readonly defaults: HaproxySection | undefined;
}

/** A section with what it inherits. */
export class HaproxyScope {
  readonly section: HaproxySection;

  constructor(section: HaproxySection) {
    this.section = section;
  }

  /** The last line with this keyword (and first argument), of the section or else of its defaults. */
  find(keyword: string, firstArgument?: string): HaproxyLine | undefined {
    const matches = (line: HaproxyLine) =>
      line.keyword === keyword && (firstArgument === undefined || line.args[0] === firstArgument);
    return this.section.lines.findLast(matches) ?? this.section.defaults?.lines.findLast(matches);
  }

  all(keyword: string): readonly HaproxyLine[] {
    return [...this.section.lines, ...(this.section.defaults?.lines ?? [])].filter(
      (line) => line.keyword === keyword,
    );
  }
}

/** What serves a connection: the same section twice for `listen`. */
export interface HaproxyPair {
  readonly front: HaproxyScope;
  readonly back: HaproxyScope;
  readonly notes: readonly string[];
}

const SECTIONS = new Set(
  "global defaults frontend backend listen peers mailers userlist resolvers cache program ring log-forward http-errors fcgi-app crt-store traces acme".split(
    " ",
  ),
);

export function parseHaproxySections(
  text: string,
  file: string,
): { readonly sections: readonly HaproxySection[]; readonly problems: readonly Diagnostic[] } {
  const sections: (HaproxySection & { lines: HaproxyLine[] })[] = [];
  const problems: Diagnostic[] = [];
  let defaults: HaproxySection | undefined;
  for (const [index, lineText] of text.split("\n").entries()) {
    const place = { file, line: index + 1, column: 1 + (/\S/.exec(lineText)?.index ?? 0) };
    const words = splitWords(lineText);
    const [keyword, ...args] = words;
    if (keyword === undefined || keyword.startsWith(".")) continue; // .if, .notice: what they hide is read as well
    if (SECTIONS.has(keyword)) {
      const fromIndex = args.indexOf("from");
      const from = fromIndex < 0 ? undefined : args[fromIndex + 1];
      const parent =
        from === undefined
          ? defaults
          : sections.find((section) => section.kind === "defaults" && section.name === from);
      if (from !== undefined && parent === undefined && problems.length < 20)
        problems.push(
          problemAt(place, `there is no defaults section ${from}`, "it must stand before this section"),
        );
      const section = {
        ...place,
        kind: keyword,
        name: fromIndex === 0 ? "" : (args[0] ?? ""),
        lines: [],
        defaults: parent,
      };
      sections.push(section);
      // An unnamed defaults section starts from nothing; a named one may inherit.
      if (keyword === "defaults") {
        defaults = from === undefined ? { ...section, defaults: undefined } : inherit(section);
        sections[sections.length - 1] = defaults as HaproxySection & { lines: HaproxyLine[] };
      }
      continue;
    }
    const current = sections.at(-1);
    if (current === undefined) {
      if (problems.length < 20)
        problems.push(
          problemAt(
            place,
            `"${keyword.slice(0, 40)}" stands outside of any section`,
            "is this a haproxy.cfg?",
          ),
        );
      continue;
    }
    const isNegated = keyword === "no";
    const [name = "", ...rest] = isNegated ? args : words;
    current.lines.push({ ...place, keyword: name, args: rest, isNegated });
  }
  return { sections, problems };
}

/** A defaults section that is based on another begins with its lines. */
function inherit(section: HaproxySection): HaproxySection {
  return { ...section, lines: [...(section.defaults?.lines ?? [])], defaults: undefined };
}

function splitWords(line: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let quote = "";
  for (let at = 0; at < line.length; at++) {
    const character = line[at]!;
    if (quote !== "") {
      if (character === quote) quote = "";
      else if (character === "\\" && quote === '"') word = (word ?? "") + (line[++at] ?? "");
      else word = (word ?? "") + character;
    } else if (character === '"' || character === "'") {
      quote = character;
      word ??= "";
    } else if (character === "\\") word = (word ?? "") + (line[++at] ?? "");
    else if (character === "#") break;
    else if (/\s/.test(character)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else word = (word ?? "") + character;
  }
  if (word !== undefined) words.push(word);
  return words;
}

type Found =
  | { readonly ok: true; readonly pair: HaproxyPair }
  | { readonly ok: false; readonly problem: Diagnostic };

export function findHaproxyPair(
  sections: readonly HaproxySection[],
  file: string,
  selector: string | undefined,
): Found {
  const wrong = (message: string, hint: string): Found => ({
    ok: false,
    problem: problemAt({ file, line: 0 }, message, hint),
  });
  const fronts = sections.filter(({ kind }) => kind === "frontend" || kind === "listen");
  const [frontName, backName] = (selector ?? "").split("/");
  if (fronts.length === 0)
    return wrong("has no frontend and no listen section", "name the file that has one");
  const choices = shortList(fronts.map(({ name }) => name));
  const proxying = fronts.filter(
    (section) => section.kind === "frontend" || section.lines.some(({ keyword }) => SERVERS.has(keyword)),
  );
  const matching =
    frontName === "" || frontName === undefined
      ? proxying
      : fronts.filter((section) => section.name === frontName || bindPorts(section).includes(frontName));
  if (matching.length === 0)
    return wrong(`has no frontend or listen ${selector ?? ""}`, `there are: ${choices}`);
  if (matching.length > 1 && (selector ?? "") === "")
    return wrong(
      "has several frontends",
      `say which one, for example ${file}:${matching[0]!.name}; there are: ${choices}`,
    );
  const front = new HaproxyScope(matching[0]!);
  return findBackend(sections, front, backName, wrong);
}

const SERVERS = new Set(["server", "server-template"]);

function findBackend(
  sections: readonly HaproxySection[],
  front: HaproxyScope,
  backName: string | undefined,
  wrong: (message: string, hint: string) => Found,
): Found {
  const uses = [...front.all("default_backend"), ...front.all("use_backend")];
  if (
    front.section.kind === "listen" &&
    backName === undefined &&
    !(uses.length > 0 && !front.section.lines.some(({ keyword }) => SERVERS.has(keyword)))
  ) {
    return { ok: true, pair: { front, back: front, notes: [] } };
  }
  const names = [...new Set(uses.map(({ args }) => args[0] ?? ""))];
  const wanted = backName ?? names[0];
  const section = sections.find(
    ({ kind, name }) => (kind === "backend" || kind === "listen") && name === wanted,
  );
  if (wanted === undefined)
    return wrong(
      `${front.section.kind} ${front.section.name} names no backend`,
      "write default_backend, or select FRONTEND/BACKEND",
    );
  if (section === undefined) {
    const backends = sections.filter(({ kind }) => kind === "backend").map(({ name }) => name);
    return wrong(`has no backend ${wanted}`, `backends: ${shortList(backends)}`);
  }
  const others = names.filter((name) => name !== wanted);
  const notes =
    others.length === 0 ? [] : [`backend ${wanted} is shown; others may differ: ${shortList(others)}`];
  return { ok: true, pair: { front, back: new HaproxyScope(section), notes } };
}

function bindPorts(section: HaproxySection): readonly string[] {
  const binds = section.lines
    .filter(({ keyword }) => keyword === "bind")
    .flatMap(({ args }) => (args[0] ?? "").split(","));
  return binds.flatMap((address) => /:(\d+)(?:-\d+)?$/.exec(address)?.[1] ?? []);
}
