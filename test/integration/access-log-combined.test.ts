/**
 * The access log in Apache's combined format: one line per request that every tool can split, whatever a client sends.
 */
import assert from "node:assert/strict";
import { get, response, Stage } from "../harness/stage.ts";

const stage = new Stage({ accessLog: "combined" });

const LINE =
  /^(\S+) - - \[(\d\d\/[A-Z][a-z]{2}\/\d{4}:\d\d:\d\d:\d\d \+0000)\] "((?:[^"\\]|\\x[0-9A-F]{2})*)" (\d{3}) (\d+) "((?:[^"\\]|\\x[0-9A-F]{2})*)" "((?:[^"\\]|\\x[0-9A-F]{2})*)" (\S+) (\d+) (\S+) (reused|fresh|-) (\S+)$/;

stage.test(
  "combined: every line has the usual nine fields and the connection's facts, hostile bytes are escaped as \\xHH",
  {},
  async (scene) => {
    scene.origin.answer = () => response("200 OK", "hello");
    const { client } = await scene.ask(get("/a?b", "Referer: http://r/", "User-Agent: agent/1"));
    const length = client.text.length;
    await scene.ask(get('/"\xe9\\', 'User-Agent: "\\x22 \xff\t" 200 0', "Referer: \x80"));
    await scene.ask("NONSENSE\r\n\r\n");
    const lines = await scene.logLines(3);
    const fields = lines.map((line) => {
      const match = line.match(LINE);
      assert.ok(match !== null, line);
      return match.slice(1);
    });
    assert.deepEqual(
      fields[0]!.slice(0, 7).filter((_, index) => index !== 1),
      ["127.0.0.1", "GET /a?b HTTP/1.1", "200", String(length), "http://r/", "agent/1"],
    );
    const server = `127.0.0.1:${scene.origin.port}`;
    assert.deepEqual(
      fields.map((it) => it.slice(8)),
      [
        ["1", server, "fresh", "-"],
        ["1", server, "reused", "-"],
        ["0", "-", "-", "bad-request"],
      ],
    );
    assert.equal(fields[1]![2], "GET /\\x22\\xE9\\x5C HTTP/1.1");
    assert.equal(fields[1]![5], "\\x80");
    assert.equal(fields[1]![6], "\\x22\\x5Cx22 \\xFF\\x09\\x22 200 0");
    assert.deepEqual([fields[2]![2], fields[2]![3]], ["-", "400"]);
    assert.equal(lines.length, 3);
  },
);
