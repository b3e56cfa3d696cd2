/** No file, however broken, makes a reader throw, hang or answer with a value that the simulation cannot take. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { readHostFacts } from "../../config/host-facts.ts";
import { knownName } from "../catalogue.ts";
import { hopOf } from "../catalogue-entry.ts";
import { parsePathFile } from "../path-file.ts";
import { resolvePath } from "../path-resolution.ts";
import { parsePathWords } from "../path-words.ts";
import { parseBraces } from "./braces.ts";
import { readHaproxy } from "./haproxy.ts";
import { readHoldfast } from "./holdfast.ts";
import { readIpvs } from "./ipvs.ts";
import { readKeepalived } from "./keepalived.ts";
import { readNginx } from "./nginx.ts";
import type { ConfigFiles, ReadResult } from "./reading.ts";
import { corpusFiles, memoryFiles } from "./reading-fixtures.ts";
import { readConntrack, readKernelDefaults } from "./sysctl.ts";

const host = readHostFacts();
const { files, names } = corpusFiles();
const corpus = names.flatMap((name) => {
  const text = files.read(name);
  return text.ok ? [text.text] : [];
});

const READERS: readonly ((file: string, selector: string | undefined, files: ConfigFiles) => ReadResult)[] = [
  readNginx,
  readHaproxy,
  readKeepalived,
  readIpvs,
  (file, _selector, all) => readConntrack(file, all),
  (file, selector, all) => readHoldfast(file, selector, all, host),
];

function readWithAll(text: string, selector: string | undefined): void {
  const memory = memoryFiles({ f: text });
  for (const read of READERS) {
    const result = read("f", selector, memory);
    if (result.ok) hopOf(knownName(result.hop.entryName), { settings: result.hop.settings });
    else assert.ok(result.diagnostics.length > 0, "a refusal has a reason");
  }
  readKernelDefaults("f", memory);
}

const options = { numRuns: 300, verbose: true };
const selector = fc.option(fc.oneof(fc.constantFrom("80", "web", "80/api", "/", ":", "x/y"), fc.string()), {
  nil: undefined,
});

test("readers never throw on arbitrary text", () => {
  fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 400 }), selector, readWithAll), options);
});

test("readers never throw on words of their languages in any order", () => {
  const words =
    "http { } ; server listen 80 so_keepalive=1s:2s:3 location / = ~ proxy_pass http://a upstream a keepalive 4 include f* stream proxy_timeout 1m \" ' # \\ ! \n frontend backend defaults from use_backend default_backend option tcpka no timeout client 5s mode tcp bind :80 virtual_server global_defs lvs_timeouts tcp 0 x_by_lua_block ${ ".split(
      " ",
    );
  const text = fc.array(fc.constantFrom(...words), { maxLength: 120 }).map((parts) => parts.join(" "));
  fc.assert(fc.property(text, selector, readWithAll), { ...options, numRuns: 1000 });
});

test("readers never throw on real files that are cut off or have bytes changed", () => {
  const damaged = fc
    .tuple(fc.constantFrom(...corpus), fc.nat(), fc.nat(), fc.string({ maxLength: 5 }), fc.boolean())
    .map(([text, cut, at, piece, isCut]) => {
      const position = at % (text.length + 1);
      const changed = text.slice(0, position) + piece + text.slice(position + piece.length);
      return isCut ? changed.slice(0, cut % (text.length + 1)) : changed;
    });
  fc.assert(fc.property(damaged, selector, readWithAll), options);
});

test("parseBraces() refuses deep nesting instead of exhausting the stack", () => {
  for (const dialect of ["nginx", "keepalived"] as const) {
    const { problems } = parseBraces("http {\n".repeat(100_000), "deep", dialect);
    assert.match(problems[0]!.message, /nested more than 32 deep/);
  }
});

test("readNginx() refuses a file that includes itself", () => {
  const result = readNginx("a", undefined, memoryFiles({ a: "include a; include a; include a;" }));
  assert.equal(!result.ok && result.diagnostics[0]?.message, "a includes itself");
});

test("large files take linear time: two megabytes in less than three seconds", () => {
  const text = `http { server { listen 80; ${"proxy_pass http://a; # comment\n".repeat(70_000)} } }`;
  const startedMs = performance.now();
  for (const read of [readNginx, readHaproxy, readKeepalived, readIpvs])
    read("f", undefined, memoryFiles({ f: text }));
  assert.ok(performance.now() - startedMs < 3000, `${performance.now() - startedMs} ms`);
});

test("parsePathFile() and parsePathWords() never throw, and every refusal has a reason", () => {
  const ask = (result: ReturnType<typeof parsePathFile>) => {
    if (!result.ok) return assert.ok(result.diagnostics.length > 0);
    const resolved = resolvePath(result.request, { files, host });
    assert.ok(resolved.ok || resolved.diagnostics.length > 0);
  };
  const value = fc.oneof(
    fc.string(),
    fc.integer(),
    fc.boolean(),
    fc.constantFrom("350s", "never", "60s:10s:3", "off", null),
  );
  const name = fc.constantFrom(
    "client",
    "server",
    "aws-nlb",
    "nginx",
    "box",
    "proxy",
    "constructor",
    "__proto__",
    "f5",
    "sysctl",
  );
  const key = fc.oneof(
    fc.constantFrom("timeout", "file", "port", "so_keepalive", "sysctl", "ipvs", "name", "toString"),
    fc.string(),
  );
  const hop = fc.oneof(
    name,
    value,
    fc.dictionary(name, fc.oneof(value, fc.dictionary(key, value)), { maxKeys: 2 }),
  );
  const yaml = fc
    .record({ path: fc.oneof(value, fc.array(hop, { maxLength: 6 })), scenarios: fc.array(value) })
    .map((raw) => JSON.stringify(raw));
  fc.assert(
    fc.property(fc.oneof(yaml, fc.string()), (text) => void ask(parsePathFile(text, "p.yaml"))),
    options,
  );
  fc.assert(
    fc.property(
      fc.array(fc.oneof(name, fc.string()), { maxLength: 5 }),
      (words) => void ask(parsePathWords(words)),
    ),
    options,
  );
});
