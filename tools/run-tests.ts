/**
 * `npm test [-- FILTER…]`: finds the compiled test files and hands them to Node's own runner, two at a time. Node 20's `--test` knows
 * no globs, hence the search. A filter is a part of the file's path (`npm test -- proxy so-keepalive`). The runner's summary
 * (`ℹ tests N`, `ℹ pass N`, …) is the last thing printed, and its exit status is ours.
 *
 * HOLDFAST_REQUIRE_PEERS=1 turns the skip of a test whose peer program (nginx, haproxy, …) is missing into a failure.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const compiledRoot = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");
const TESTED_FOLDERS = ["src", "test", "tools", "bench"];
/** Suites that wait for real timers begin first: with two at a time, the longest must not come last. */
const SLOW_FOLDERS = ["test/netns/", "test/soak/", "test/"];
const TEST_TIMEOUT_MS = 120_000;
const CONCURRENCY = 2;

function testFiles(filters: readonly string[]): string[] {
  return TESTED_FOLDERS.flatMap((folder) => filesBelow(path.join(compiledRoot, folder)))
    .filter((file) => file.endsWith(".test.js") && hasSource(file))
    .map((file) => path.relative(compiledRoot, file))
    .filter((file) => filters.length === 0 || filters.some((filter) => file.includes(filter)))
    .sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));
}

function filesBelow(directory: string): string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath ?? entry.path, entry.name));
}

/** tsc leaves the output of a deleted or renamed test behind; its source map knows that the source is gone. */
function hasSource(file: string): boolean {
  const map = `${file}.map`;
  if (!existsSync(map)) return true;
  const { sources } = JSON.parse(readFileSync(map, "utf8")) as { sources: string[] };
  return existsSync(path.resolve(path.dirname(file), sources[0]!));
}

function rank(file: string): number {
  const index = SLOW_FOLDERS.findIndex((folder) => file.startsWith(folder));
  return index < 0 ? SLOW_FOLDERS.length : index;
}

/** The spec reporter prints failures after its summary; then the summary is repeated, so that it closes the output. */
function repeatSummary(tapFile: string): void {
  const summary = readFileSync(tapFile, "utf8")
    .split("\n")
    .filter((line) => /^# (tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) /.test(line));
  process.stdout.write(`\n${summary.map((line) => line.replace("#", "ℹ")).join("\n")}\n`);
}

function runTests(files: readonly string[]): number {
  const scratch = mkdtempSync(path.join(os.tmpdir(), "holdfast-tests-"));
  const tapFile = path.join(scratch, "tap");
  try {
    const result = spawnSync(
      process.execPath,
      [
        "--test",
        "--enable-source-maps",
        `--test-concurrency=${CONCURRENCY}`,
        `--test-timeout=${TEST_TIMEOUT_MS}`,
        "--test-reporter=spec",
        "--test-reporter-destination=stdout",
        "--test-reporter=tap",
        `--test-reporter-destination=${tapFile}`,
        ...files,
      ],
      // NODE_TEST_CONTEXT would make the inner runner report to an outer one.
      {
        cwd: compiledRoot,
        stdio: ["ignore", "inherit", "inherit"],
        env: { ...process.env, NODE_TEST_CONTEXT: undefined },
      },
    );
    if (result.status !== 0 && existsSync(tapFile)) repeatSummary(tapFile);
    return result.status ?? 1;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

const filters = process.argv.slice(2);
const files = testFiles(filters);
if (files.length === 0) {
  process.stderr.write(`no test file matches: ${filters.join(" ")}\n`);
  process.exitCode = 2;
} else {
  process.exitCode = runTests(files);
}
