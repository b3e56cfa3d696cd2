import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import {
  beatPath,
  encodeBeatBody,
  encodeBeatDatagram,
  parseBeatBody,
  parseBeatDatagram,
  parseBeatPath,
} from "./beat-format.ts";

test("beatPath() leaves addresses readable and encodes what would end a name", () => {
  assert.equal(beatPath("web", "app@[::1]:80"), "/heartbeat/web/app@[::1]:80");
  assert.equal(beatPath("web", "unix:/run/a b"), "/heartbeat/web/unix:%2Frun%2Fa%20b");
});

test("parseBeatDatagram() refuses whatever is no beat of version 1", () => {
  assert.deepEqual(parseBeatDatagram("holdfast-beat 1 web 10.0.0.1:80 17\n"), {
    pool: "web",
    server: "10.0.0.1:80",
    progress: 17,
  });
  const bad = [
    "",
    "holdfast-beat 2 web a",
    "holdfast-beat 1 web",
    "holdfast-beat 1 web a b",
    "x holdfast-beat 1 a b",
  ];
  bad.push("holdfast-beat 1 web a Infinity", "holdfast-beat 1 web %zz");
  for (const text of bad) assert.equal(parseBeatDatagram(text), undefined, text);
});

test("parseBeatBody() takes an empty body and a counter, and nothing else", () => {
  assert.equal(parseBeatBody(""), undefined);
  assert.equal(parseBeatBody("{}"), undefined);
  assert.equal(parseBeatBody('{"progress": 1.5}'), 1.5);
  for (const body of ["x", "1", "null", "[]", '{"progress": "1"}']) {
    assert.ok(Number.isNaN(parseBeatBody(body)), body);
  }
});

test("parseBeatPath() refuses paths of another shape", () => {
  for (const path of [
    "/",
    "/heartbeat/web",
    "/heartbeat/web/a/b",
    "/heartbeat//a",
    "/heartbeat/web/%zz",
    "/heartbeat/web/a?b",
  ])
    assert.equal(parseBeatPath(path), undefined, path);
});

test("a beat is read back as it was written, whatever the names are", () => {
  const name = fc.string({ unit: "binary", minLength: 1, maxLength: 40 });
  const counter = fc.option(fc.double({ noNaN: true, noDefaultInfinity: true }), { nil: undefined });
  fc.assert(
    fc.property(name, name, counter, (pool, server, progress) => {
      assert.deepEqual(parseBeatPath(beatPath(pool, server)), { pool, server });
      const read = parseBeatDatagram(encodeBeatDatagram({ pool, server, progress }))!;
      assert.deepEqual(
        [read.pool, read.server, read.progress ?? null],
        [pool, server, progress === 0 ? 0 : (progress ?? null)],
      );
      assert.equal(parseBeatBody(encodeBeatBody(progress)) ?? null, progress === 0 ? 0 : (progress ?? null));
    }),
  );
});
