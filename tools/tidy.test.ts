/**
 * The project's own rules, checked: who may import what, purity, cycles, dead files, purpose comments, function length, names
 * of tests, documentation of causes and metrics. Every violation is reported as `file:line: rule`. The rules themselves are
 * explained in ARCHITECTURE.md ("Import rule"); change them there first.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import test from "node:test";
import { CLOSE_CAUSES } from "../src/observe/close-cause.ts";
import { projectRoot } from "../test/harness/paths.ts";
import {
  findFunctions,
  type ImportEdge,
  lineAt,
  parseSource,
  readSourceTree,
  type SourceFile,
} from "./source-tree.ts";

/** Files that compute and nothing else: time, randomness and bytes are arguments. */
const PURE = [
  /^src\/http1\//,
  /^src\/balance\//,
  /^src\/tcp\/so-keepalive\.ts$/,
  /^src\/doctor\/(selector|option-plan|probe-machine|undo-journal|proc-net-tcp)\.ts$/,
  /^src\/proxy\/(routes|idle-pool|learned-idle-timeout|wait-queue)\.ts$/,
  /^src\/relay\/(session-clock|session-state)\.ts$/,
  /^src\/proxy-protocol\//,
  /^src\/(ip|arp|ndp)\//,
  /^src\/netlink\/(route|message|route-packet)\.ts$/,
  /^src\/heartbeat\/beat-format\.ts$/,
  /^src\/observe\/(counter-layout|close-cause|metric-registry|prometheus|router-(?:status|ledger|metrics)|transition-log)\.ts$/,
  /^src\/config\/(types|duration|size|diff|address)\.ts$/,
  /^src\/cli\/(table|figures|router-table)\.ts$/,
  /^src\/daemon\/(messages|router-messages|phases|server-orders|notify-queue|worker-liveness)\.ts$/,
  /^src\/health\/(fault-detector|schedule|heartbeat-machine|heartbeat-progress)\.ts$/,
  /^src\/doctor\/(hop|fate|simulation|scenarios|advice|advice-text|changes|directives|contradictions|distinct-names|spoken-duration)\.ts$/,
  /^src\/doctor\/simulation\//,
  /^src\/doctor\/(hop-settings|catalogue(-entry|-page(-words)?)?|catalogue\/[\w-]+|path-(words|request|file-schema)|scenario-words)\.ts$/,
  /^src\/doctor\/readers\/(braces|nginx|nginx-tree|haproxy|haproxy-sections|keepalived|ipvs|sysctl|reading)\.ts$/,
  /^src\/doctor\/(ladder|measure-(conclusion|boxes)|host-(facts|abilities)|findings(-[a-z]+)?|node-traps)\.ts$/,
  /^src\/cli\/(measure|doctor)-report\.ts$/,
  /^src\/cli\/predict-(sequence|text|svg|html|list)\.ts$/,
  /^src\/netlink\/(message|inet-diag)\.ts$/,
  /^src\/doctor\/(socket-record|socket-verdict|socket-filter|socket-summary|detection-time|death-histogram|connection-ends)\.ts$/,
  /^src\/cli\/(socket-report|watch-report|ascii-writer)\.ts$/,
  /^src\/vrrp\/(state|transitions|transition-detail|advertisement-check|effective-priority|debounce|sync-group|history|lease|reload-plan|reference-page|source-address|drain-limit|warning-limit|announce-schedule)\.ts$/,
  /\/(packet|machine|timers|framing|persistence|threshold|[\w-]+-policy)\.ts$/,
];

/** Node modules that need Node's event loop: a reactor process never runs it. */
const EVENT_LOOP_MODULES = new Set(
  ["net", "http", "https", "http2", "dgram", "tls", "dns", "timers", "worker_threads"].map(
    (name) => `node:${name}`,
  ),
);

const FUNCTION_LINES_MAX = 70;
/** Functions that were longer when the rule was made: they may shrink, not grow. `file name`: lines. */
const LONG_FUNCTIONS: Readonly<Record<string, number>> = {};

/** Files in src/ that only tests import: their examples. New ones are better named *-fixtures.ts. */
const EXAMPLES_FOR_TESTS = new Set(["src/http1/example-messages.ts", "src/http1/refused-requests.ts"]);

const tree = readSourceTree(projectRoot, ["src", "test", "tools", "bench"]);
const isTest = (file: string): boolean => /\.(test|fuzz|fuzz\.test)\.ts$/.test(file);
const isBenchmark = (file: string): boolean => file.endsWith(".bench.ts");
const isPure = (file: string): boolean =>
  PURE.some((pattern) => pattern.test(file)) && !isTest(file) && !isBenchmark(file);
const files = [...tree.values()];
const productFiles = files.filter((file) => file.path.startsWith("src/") && !isTest(file.path));

function report(violations: readonly string[]): void {
  assert.equal(violations.length, 0, `\n${violations.join("\n")}\n`);
}

function runtimeImports(file: SourceFile): readonly ImportEdge[] {
  return file.imports.filter((edge) => !edge.isTypeOnly);
}

/** Every file that `start` pulls in at run time, with the import chain that leads there. */
function reachableAtRunTime(start: string): Map<string, readonly string[]> {
  const chains = new Map<string, readonly string[]>([[start, [start]]]);
  for (const [current, chain] of chains) {
    for (const edge of runtimeImports(tree.get(current)!)) {
      if (edge.target === undefined || !tree.has(edge.target) || chains.has(edge.target)) continue;
      chains.set(edge.target, [...chain, edge.target]);
    }
  }
  return chains;
}

function occurrences(file: SourceFile, text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map(
    (match) => `${file.path}:${lineAt(text, match.index)}: ${match[0].trim()}`,
  );
}

test("imports: every relative import ends in .ts and exists", () => {
  const violations = files.flatMap((file) =>
    file.imports
      .filter((edge) => edge.target !== undefined && !existsSync(path.join(projectRoot, edge.target)))
      .map((edge) => `${file.path}:${edge.line}: ${edge.specifier} does not exist`),
  );
  report(violations);
});

test("imports: only src/sys/ imports koffi", () => {
  const violations = files.flatMap((file) =>
    file.path.startsWith("src/sys/")
      ? []
      : file.imports
          .filter((edge) => edge.specifier === "koffi")
          .map((edge) => `${file.path}:${edge.line}: only src/sys/ may import koffi`),
  );
  report(violations);
});

test("imports: a pure file reaches no node:*, sys/ or reactor/", () => {
  const violations: string[] = [];
  for (const file of productFiles.filter((it) => isPure(it.path))) {
    for (const [reached, chain] of reachableAtRunTime(file.path)) {
      if (/^src\/(sys|reactor)\//.test(reached)) {
        const edge = runtimeImports(file).find((it) => it.target === chain[1]);
        violations.push(
          `${file.path}:${edge?.line ?? 1}: pure, but reaches ${reached} (${chain.join(" → ")})`,
        );
        continue;
      }
      for (const edge of runtimeImports(tree.get(reached)!)) {
        if (edge.target !== undefined) continue;
        violations.push(
          `${reached}:${edge.line}: ${edge.specifier} in a pure file${chain.length > 1 ? ` (${chain.join(" → ")})` : ""}`,
        );
      }
    }
  }
  report([...new Set(violations)]);
});

test("purity: a pure file reads no clock and no randomness", () => {
  const impure =
    /\b(?:Date\.now|performance\.now|process\.hrtime|setTimeout|setInterval|setImmediate|queueMicrotask|Math\.random|crypto\.)\b/g;
  report(
    productFiles.filter((file) => isPure(file.path)).flatMap((file) => occurrences(file, file.code, impure)),
  );
});

for (const name of ["worker-main.ts", "router-main.ts"]) {
  test(`reactor processes: nothing reachable from ${name} needs Node's event loop`, () => {
    checkReactorProcess(`src/daemon/${name}`);
  });
}

function checkReactorProcess(entry: string): void {
  const violations: string[] = [];
  for (const [reached, chain] of reachableAtRunTime(entry)) {
    const file = tree.get(reached)!;
    for (const edge of runtimeImports(file)) {
      if (!EVENT_LOOP_MODULES.has(edge.specifier)) continue;
      violations.push(
        `${reached}:${edge.line}: ${edge.specifier} in a reactor process (${chain.join(" → ")})`,
      );
    }
    violations.push(
      ...occurrences(file, file.code, /\b(?:setTimeout|setInterval|setImmediate)\(/g).map(
        (it) => `${it} in a reactor process`,
      ),
    );
  }
  report(violations);
}

test("imports: no cycles (erased type imports apart)", () => {
  const violations: string[] = [];
  const state = new Map<string, "open" | "done">();
  const visit = (current: string, trail: readonly string[]): void => {
    state.set(current, "open");
    for (const edge of runtimeImports(tree.get(current)!)) {
      if (edge.target === undefined || !tree.has(edge.target)) continue;
      const seen = state.get(edge.target);
      if (seen === "open") {
        const cycle = [...trail.slice(trail.indexOf(edge.target)), edge.target];
        violations.push(`${current}:${edge.line}: import cycle ${cycle.join(" → ")}`);
      } else if (seen === undefined) visit(edge.target, [...trail, edge.target]);
    }
    state.set(current, "done");
  };
  for (const file of files) if (!state.has(file.path)) visit(file.path, [file.path]);
  report(violations);
});

test("files: each opens with a purpose comment", () => {
  // A test beside its source needs none: its name says what it is of.
  const violations = files
    .filter((file) => !(file.path.startsWith("src/") && isTest(file.path)))
    .filter((file) => !/^(?:#!.*\n)?(?:\/\*\*|\/\/)/.test(file.text) || file.comments.trim().length < 30)
    .map(
      (file) => `${file.path}:1: begin with a comment: what this file is, what to read first, who uses it`,
    );
  report(violations);
});

test("files: none in src/ is dead", () => {
  // Programs of their own (main, *-main), what users import (testing/, the package's exports), benchmarks, what tests share
  // (*-fixtures), and everything the tools run.
  const manifest = readFileSync(path.join(projectRoot, "package.json"), "utf8");
  const isEntry = (file: string): boolean =>
    /(?:^|\/)(?:main|[\w-]+-(?:main|fixtures))\.ts$/.test(file) ||
    file.startsWith("src/testing/") ||
    EXAMPLES_FOR_TESTS.has(file) ||
    isBenchmark(file) ||
    manifest.includes(file.replace(/\.ts$/, ".js"));
  const tools = files.map((file) => file.path).filter((file) => file.startsWith("tools/") && !isTest(file));
  const alive = new Set([...productFiles.map((file) => file.path).filter(isEntry), ...tools]);
  for (const current of alive) {
    const file = tree.get(current)!;
    for (const edge of file.imports)
      if (edge.target !== undefined && tree.has(edge.target)) alive.add(edge.target);
    // A program that is spawned is named in a string: new URL("./demo-origin.js", import.meta.url).
    for (const match of file.text.matchAll(/["'`/]([\w-]+)\.js["'`]/g)) {
      const spawned = productFiles.find((it) => path.posix.basename(it.path) === `${match[1]}.ts`);
      if (spawned !== undefined) alive.add(spawned.path);
    }
  }
  report(
    productFiles
      .filter((file) => !alive.has(file.path))
      .map((file) => `${file.path}:1: no program reaches this file`),
  );
});

test(`functions: at most ${FUNCTION_LINES_MAX} lines, the old offenders never longer`, () => {
  const violations: string[] = [];
  const stillLong = new Set<string>();
  for (const file of files.filter((it) => !isTest(it.path))) {
    for (const span of findFunctions(file.code)) {
      const key = `${file.path} ${span.name}`;
      if (span.lines > FUNCTION_LINES_MAX) stillLong.add(key);
      const limit = LONG_FUNCTIONS[key] ?? FUNCTION_LINES_MAX;
      if (span.lines > limit)
        violations.push(
          `${file.path}:${span.line}: ${span.name}() has ${span.lines} lines, at most ${limit}`,
        );
    }
  }
  for (const key of Object.keys(LONG_FUNCTIONS)) {
    if (!stillLong.has(key))
      violations.push(`tools/tidy.test.ts: ${key} is short now or gone: remove it from LONG_FUNCTIONS`);
  }
  report(violations);
});

test("tests: names say what is tested, not which ticket", () => {
  report(
    files
      .filter((file) => isTest(file.path) && file.path !== "tools/tidy.test.ts")
      .flatMap((file) => [
        ...occurrences(file, file.text, /\bissue[-_ ]?#?\d+/gi).map((it) => `${it}: name the behaviour`),
        ...occurrences(file, file.code, /\b(?:test|it|describe)\.only\(/g).map(
          (it) => `${it}: leaves the others out`,
        ),
      ]),
  );
});

test("comments: a TODO says for what", () => {
  report(
    files.flatMap((file) => occurrences(file, file.comments, /\b(?:TODO|FIXME|XXX)\b(?!\([\w -]+\): \S).*/g)),
  );
});

test("docs: every close cause has its entry", () => {
  const page = readDocument("docs/reference/close-causes.md");
  report(
    CLOSE_CAUSES.filter(
      (cause) => !page.includes(`\`${cause.name}\``) && !page.includes(`# ${cause.name}\n`),
    ).map((cause) => `docs/reference/close-causes.md: \`${cause.name}\` is missing`),
  );
});

test("docs: every metric has its entry", () => {
  const registry = tree.get("src/observe/metric-registry.ts");
  if (registry === undefined) return;
  const page = readDocument("docs/reference/metrics.md");
  const names = new Set(
    [registry, tree.get("src/observe/router-metrics.ts")!].flatMap(({ text }) =>
      [...text.matchAll(/["'`](holdfast_[a-z0-9_]+)["'`]/g)].map((match) => match[1]!),
    ),
  );
  assert.ok(names.size > 0, "src/observe/metric-registry.ts names no metric");
  report(
    [...names]
      .filter((name) => !page.includes(name))
      .map((name) => `docs/reference/metrics.md: ${name} is missing`),
  );
});

function readDocument(relative: string): string {
  const file = path.join(projectRoot, relative);
  assert.ok(existsSync(file), `${relative} does not exist`);
  return readFileSync(file, "utf8");
}

test("parseSource() separates comments, strings and code", () => {
  const file = parseSource(
    "src/x/y.ts",
    [
      '// import "koffi"',
      'import { type A, type B } from "../a.ts";',
      'import { c, type D } from "./c.ts"; /* Math.random */',
      'const s = "Date.now"; const r = /["/]/g; const q = a / b;',
      `const t = \`x \${\`Date.now\`} y\`;`,
      'const lazy = await import("node:fs");',
    ].join("\n"),
  );
  assert.deepEqual(
    file.imports.map((edge) => [edge.specifier, edge.target, edge.isTypeOnly, edge.line]),
    [
      ["../a.ts", "src/a.ts", true, 2],
      ["./c.ts", "src/x/c.ts", false, 3],
      ["node:fs", undefined, false, 6],
    ],
  );
  assert.ok(!file.code.includes("Date.now"));
  assert.ok(!file.code.includes("Math.random"));
  assert.ok(file.code.includes("const q = a / b;"));
  assert.ok(file.comments.includes("Math.random"));
});

test("findFunctions() measures functions, methods and arrow functions", () => {
  const code = [
    "export async function one(",
    "  a: number,",
    "): Promise<void> {",
    "  if (a) {",
    "  }",
    "}",
    "class A {",
    "  #two(): void {",
    "    call(",
    "      a,",
    "    );",
    "  }",
    "}",
    "const three = (a: number): void => {",
    "  a;",
    "};",
  ].join("\n");
  assert.deepEqual(
    findFunctions(code).map((span) => [span.name, span.line, span.lines]),
    [
      ["one", 1, 6],
      ["#two", 8, 5],
      ["three", 14, 3],
    ],
  );
});
