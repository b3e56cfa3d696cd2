import assert from "node:assert/strict";
import { test } from "node:test";
import { findingsOf } from "../doctor/findings.ts";
import { abilitiesOf } from "../doctor/host-abilities.ts";
import { hostFacts, judgedSocket } from "../doctor/host-facts-fixtures.ts";
import { doctorJson, doctorText } from "./doctor-report.ts";

const SYSCTLS = [
  {
    name: "net.netfilter.nf_conntrack_tcp_timeout_established",
    value: "600",
    remark: "this is too short",
    isGood: false,
  },
];

function report(processName = "app", gaps: readonly string[] = []) {
  const sockets = [judgedSocket({}, { isKeepaliveOn: false }, { pid: 100, processName })];
  const facts = hostFacts({ sockets, gaps });
  return { facts, abilities: abilitiesOf(facts), sysctls: SYSCTLS, findings: findingsOf(facts) };
}

test("doctorText() wraps at the width, puts the command below its finding, ends with the verdict", () => {
  const text = doctorText(report(), { isColoured: false, width: 80 });
  assert.ok(
    text.split("\n").every((line) => line.length <= 80),
    text,
  );
  assert.match(text, /risk: {4}1 open connection has no keepalive/);
  assert.match(text, /→ holdfast enable pid:100 peer:10\.0\.0\.2 --so-keepalive/);
  assert.match(text, /Nothing is broken now; 1 risk\.\n$/);
  assert.ok(!text.includes("\u001b"));
});

test("doctorText() lets no control character of a process name reach the terminal", () => {
  const text = doctorText(report("a\u001b[2J\u009bb"), { isColoured: false, width: 80 });
  assert.ok(!text.includes("\u001b") && !text.includes("\u009b"));
  assert.match(text, /a\?\[2J\?b\/100|a\?\[2J\?b 1/);
});

test("a page with gaps says partial, in both forms", () => {
  const partial = report("app", ["the options of 3 sockets could not be read: use sudo"]);
  assert.match(
    doctorText(partial, { isColoured: false, width: 200 }),
    /Partial[^\n]*\n {2}- the options of 3/,
  );
  const json = JSON.parse(doctorJson(partial));
  assert.deepEqual([json.partial, json.gaps.length, json.findings[0].id], [true, 1, "sockets-unguarded"]);
});
