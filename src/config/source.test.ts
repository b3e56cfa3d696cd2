/** The text of a configuration file: how long a broken one may take, and what is said of its lines. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ConfigSource } from "./source.ts";

/** Looking through the whole text for each error takes a minute here, one pass two seconds. */
const PATIENCE_MS = 15_000;

for (const [what, text] of [
  ["syntax errors", "\ta: [b\n".repeat(25_000)],
  ["keys written twice", "a: 1\n".repeat(20_000)],
  ["aliases without an anchor", `b:\n${"  - *x\n".repeat(20_000)}`],
  ["aliases", `a: &x 1\nb:\n${"  - *x\n".repeat(20_000)}`],
] as const) {
  test(`ConfigSource reads a file that is full of ${what} in one pass`, () => {
    const begin = performance.now();
    const source = new ConfigSource(text, "broken.yaml");
    const tookMs = performance.now() - begin;
    assert.ok(source.diagnostics.length > 0 && source.diagnostics.length < 100);
    assert.equal(source.isReadable, false);
    assert.ok(tookMs < PATIENCE_MS, `${Math.round(tookMs)} ms`);
  });
}

test("ConfigSource looks for the hint in the line of the error, whatever ends the line", () => {
  for (const end of ["\n", "\r\n"]) {
    const text = ["a: 1", "so_keepalive: :10s:", "b: 2", ""].join(end);
    const hints = new ConfigSource(text, "f.yaml").diagnostics.map(({ hint }) => hint);
    assert.match(hints.join(), /put the value in quotes/, JSON.stringify(text));
  }
});

test("ConfigSource names an alias whose anchor is missing, or comes only later", () => {
  for (const text of ["a: *x\n", "a: *x\nb: &x 1\n"]) {
    const messages = new ConfigSource(text, "f.yaml").diagnostics.map(({ message }) => message);
    assert.match(messages.join(), /\*x refers to an anchor/);
  }
  assert.deepEqual(new ConfigSource("a: &x 1\nb: *x\n", "f.yaml").raw, { a: 1, b: 1 });
});
