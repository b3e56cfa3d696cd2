/** Tests of `holdfast check`: its output and exit status, run as the command line runs it. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { checkCommand } from "./check.ts";

const GOOD =
  "listeners: { web: { bind: 127.0.0.1:80, http: { routes: [{ pool: app }] } } }\npools: { app: { servers: [127.0.0.1:81] } }\n";
const directory = mkdtempSync(join(tmpdir(), "holdfast-"));
process.on("exit", () => rmSync(directory, { recursive: true }));

function file(text: string): string {
  const path = join(directory, "f.yaml");
  writeFileSync(path, text);
  return path;
}

async function check(...args: string[]): Promise<{ output: string; status: unknown }> {
  const before = process.exitCode;
  let output = "";
  const collect = (text: string) => {
    output += text;
  };
  try {
    const command = checkCommand().exitOverride().configureOutput({ writeOut: collect, writeErr: collect });
    await command.parseAsync(args, { from: "user" });
    return { output, status: process.exitCode };
  } catch (error) {
    return { output, status: (error as { exitCode: number }).exitCode };
  } finally {
    process.exitCode = before;
  }
}

test("checkCommand() sums up a good file in one line, status 0", async () => {
  const path = file(GOOD);
  assert.deepEqual(await check(path), { output: `${path}: 1 listener, 1 pool, 1 server: good\n`, status: 0 });
});

test("checkCommand() prints warnings and still says good, status 0", async () => {
  const path = file(GOOD.replace("servers:", "keepalive: 0, servers:"));
  const { output, status } = await check(path);
  assert.match(output, /f\.yaml:2:28: warning: pools\.app\.keepalive: no connection is kept/);
  assert.match(output, /1 server: good, with 1 warning\n$/);
  assert.equal(status, 0);
});

test("checkCommand() prints all problems and the number of them, status 2", async () => {
  const path = file(GOOD.replace("127.0.0.1:81", "127.0.0.1").replace("web:", "web: { bind: x }, two:"));
  const { output, status } = await check(path);
  assert.match(output, /f\.yaml:1:27: error: listeners\.web\.bind: "x" has no port\n {2}hint: /);
  assert.match(output, /f\.yaml: 3 errors: nothing would start\n$/);
  assert.equal(status, 2);
});

test("checkCommand() --json prints stable fields", async () => {
  const good = await check("--json", file(GOOD));
  const path = file("workerz: 1\n");
  const bad = await check("--json", path);
  assert.equal(JSON.parse(good.output).summary, "1 listener, 1 pool, 1 server");
  assert.deepEqual(JSON.parse(bad.output).diagnostics.at(-1), {
    severity: "error",
    file: path,
    line: 1,
    column: 1,
    path: "pools",
    message: "is missing",
    hint: "add pools (map of names): Groups of servers, by name.",
  });
  assert.deepEqual([good.status, bad.status], [0, 2]);
});

test("checkCommand() --schema prints the JSON Schema; no file and no --schema is a wrong question, status 2", async () => {
  assert.equal(JSON.parse((await check("--schema")).output).title, "Holdfast gateway configuration");
  const { output, status } = await check();
  assert.equal(output, "error: no configuration file named; example: holdfast check gateway.yaml\n");
  assert.equal(status, 2);
});

test("checkCommand() help has an example", async () => {
  const { output } = await check("--help");
  assert.match(output, /holdfast check gateway\.yaml/);
});
