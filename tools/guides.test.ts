/**
 * The documents hold: every command line in them is one that the program understands, links lead somewhere, and the Chinese guides
 * have the commands and outputs of the English ones, byte for byte.
 */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { holdfastCommand } from "../src/cli/program.ts";
import { projectRoot } from "../test/harness/paths.ts";

interface Page {
  /** Relative to the checkout. */
  readonly path: string;
  readonly text: string;
}

function pages(...folders: readonly string[]): readonly Page[] {
  return folders.flatMap((folder) =>
    readdirSync(path.join(projectRoot, folder))
      .filter((name) => name.endsWith(".md"))
      .map((name) => path.join(folder, name))
      .map((file) => ({ path: file, text: readFileSync(path.join(projectRoot, file), "utf8") })),
  );
}

const FENCE = /^```(\w*)\n(.*?)^```$/gms;
const fences = (text: string): readonly string[] => [...text.matchAll(FENCE)].map(([block]) => block);
const withoutFences = (text: string): string => text.replaceAll(FENCE, "");

// ── command lines ────────────────────────────────────────────────────────────────────────────────────────────

/** `holdfast WORD …` in shell blocks and in inline code, up to whatever ends a command in a shell. */
function commandLines({ text }: Page): readonly string[] {
  const shell = [...text.matchAll(FENCE)]
    .filter(([, language]) => language === "sh")
    .flatMap(([, , body]) => body!.split("\n"));
  const inline = [...withoutFences(text).matchAll(/`([^`]+)`/g)].map(([, code]) => code!);
  return [...shell, ...inline].flatMap((line) =>
    [...line.matchAll(/(?:^|[\s;])(holdfast [a-z].*)/g)].map(([, command]) => command!),
  );
}

/** Words as a shell sees them; what follows `|`, `&`, `;`, `#`, `>` is another matter. */
function wordsOf(command: string): readonly string[] {
  const words: string[] = [];
  for (const [token, single, double] of command.matchAll(/'([^']*)'|"([^"]*)"|[|&;#>]|[^\s|&;#>]+/g)) {
    if (/^[|&;#>]$/.test(token)) break;
    words.push(single ?? double ?? token);
  }
  return words;
}

function complaintAbout(command: string): string | undefined {
  const [, name, ...rest] = wordsOf(command);
  const found = holdfastCommand().commands.find((it) => it.name() === name);
  if (found === undefined) return `there is no holdfast ${name}`;
  found.configureOutput({ writeErr: () => {} });
  try {
    const { unknown } = found.parseOptions(rest.filter((word) => word !== "…"));
    return unknown.length === 0 ? undefined : `holdfast ${name} does not know ${unknown.join(" ")}`;
  } catch (error) {
    return (error as Error).message;
  }
}

test("every command line of the guides and the README is one that the program understands", () => {
  const readme = { path: "README.md", text: readFileSync(path.join(projectRoot, "README.md"), "utf8") };
  const all = [readme, ...pages("docs/guide", "docs/zh-CN")];
  const complaints = all.flatMap((page) =>
    commandLines(page)
      .filter((command) => !/^holdfast (is|of|\w+ \|)/.test(command))
      .map((command) => ({ command, complaint: complaintAbout(command) }))
      .filter(({ complaint }) => complaint !== undefined)
      .map(({ command, complaint }) => `${page.path}: ${command}: ${complaint}`),
  );
  assert.deepEqual(complaints, []);
  const seen = new Set(all.flatMap(commandLines).map((command) => wordsOf(command)[1]));
  for (const name of ["sockets", "probe", "enable", "undo", "predict", "measure", "watch", "doctor"]) {
    assert.ok(seen.has(name), `no guide shows holdfast ${name}`);
  }
});

test("the check of command lines finds a wrong option, a wrong value and a wrong command", () => {
  assert.match(complaintAbout("holdfast sockets --unguardet")!, /does not know --unguardet/);
  assert.match(complaintAbout("holdfast sockets --sort colour")!, /colour/);
  assert.match(complaintAbout("holdfast socket")!, /no holdfast socket/);
  assert.equal(complaintAbout("holdfast probe '1.2.3.4:5->*' --dry-run | less"), undefined);
});

// ── links ────────────────────────────────────────────────────────────────────────────────────────────────────

test("links between documents lead to a file", () => {
  const broken = pages(".", "docs", "docs/guide", "docs/zh-CN", "docs/reference", "docs/decisions").flatMap(
    (page) =>
      [...withoutFences(page.text).matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)]
        .map(([, target]) => target!)
        .filter((target) => !/^[a-z]+:/.test(target))
        .filter((target) => !existsSync(path.join(projectRoot, path.dirname(page.path), target)))
        .map((target) => `${page.path}: ${target}`),
  );
  assert.deepEqual(broken, []);
});

// ── Chinese ──────────────────────────────────────────────────────────────────────────────────────────────────

const translated = pages("docs/zh-CN").filter((page) => path.basename(page.path) !== "README.md");

test("docs/zh-CN has the four guides about dying connections", () => {
  assert.deepEqual(translated.map((page) => path.basename(page.path)).toSorted(), [
    "reset-after-n-seconds.md",
    "turning-keepalive-on.md",
    "what-each-box-does.md",
    "which-keepalive.md",
  ]);
});

for (const page of translated) {
  const english = {
    path: path.join("docs/guide", path.basename(page.path)),
    text: readFileSync(path.join(projectRoot, "docs/guide", path.basename(page.path)), "utf8"),
  };

  test(`${page.path} has the commands and outputs of ${english.path}`, () => {
    assert.deepEqual(fences(page.text), fences(english.text));
    assert.deepEqual(commandLines(page).toSorted(), commandLines(english).toSorted());
  });

  test(`${page.path} has the headings and table rows of ${english.path}`, () => {
    const shape = ({ text }: Page): readonly string[] =>
      withoutFences(text)
        .split("\n")
        .map((line) => (line.startsWith("|") ? `row of ${cells(line)}` : (/^#+ /.exec(line)?.[0] ?? "")))
        .filter((line) => line !== "");
    assert.deepEqual(shape(page), shape(english));
  });
}

function cells(row: string): number {
  return row.replaceAll("\\|", "").split("|").length - 2;
}
