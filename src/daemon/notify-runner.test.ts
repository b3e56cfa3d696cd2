import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { virtualRouterConfig } from "../testing/gateway-config.ts";
import { transitionRecord } from "../testing/router-records.ts";
import { NotifyRunner } from "./notify-runner.ts";

const directory = mkdtempSync(path.join(tmpdir(), "holdfast-notify-"));
after(() => rmSync(directory, { recursive: true }));

function target(script: string, timeoutMs = 5_000) {
  const file = path.join(directory, `script-${Math.random().toString(36).slice(2)}`);
  writeFileSync(file, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return { router: virtualRouterConfig({ notify: { command: [file], timeoutMs } }), identity: undefined };
}

/** One that nobody has waited for yet does not run any more. */
function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

function runner(): { runner: NotifyRunner; events: string[] } {
  const events: string[] = [];
  return { runner: new NotifyRunner({ log: (_level, event) => void events.push(event) }), events };
}

test("notify: the program of an older transition ends before that of a newer one begins, however slow it is", async () => {
  const out = path.join(directory, "order");
  const { runner: notify } = runner();
  // The first is slow: without a queue it would end last.
  const slow = target(`[ "$5" = 0 ] && sleep 0.3\necho "begin $5" >> ${out}\necho "end $5" >> ${out}`);
  for (const priority of [0, 1, 2]) notify.notify(slow, transitionRecord({ priority }));
  await notify.finish(10_000);
  assert.deepEqual(
    readFileSync(out, "utf8").trim().split("\n"),
    [0, 1, 2].flatMap((n) => [`begin ${n}`, `end ${n}`]),
  );
  assert.deepEqual(notify.counts, { waiting: 0, succeeded: 3, failed: 0, dropped: 0 });
});

test("notify: the program gets arguments, environment and the record on its standard input", async () => {
  const out = path.join(directory, "arguments");
  const { runner: notify } = runner();
  const record = transitionRecord();
  const script = `echo "$@" > ${out}; echo "$HOLDFAST_ROUTER $HOLDFAST_INTERFACE $HOLDFAST_ID $HOLDFAST_ADDRESSES $HOLDFAST_MISSED $HOLDFAST_AT" >> ${out}; cat >> ${out}`;
  notify.notify(target(script), record);
  await notify.finish(5_000);
  const [args, environment, input] = readFileSync(out, "utf8").split("\n");
  assert.equal(args, "edge backup active silence 100");
  assert.equal(environment, "edge lo 51 192.0.2.10/24 0 1700000000.000");
  assert.deepEqual(JSON.parse(input!), record);
});

test("notify: a program over its time limit is killed with its children, and the next one runs", async () => {
  const out = path.join(directory, "killed");
  const { runner: notify, events } = runner();
  const stuck = target(
    `[ "$5" = 0 ] && { sleep 60 & echo $! > ${out}; wait; }\necho "told $5" >> ${out}`,
    300,
  );
  notify.notify(stuck, transitionRecord({ priority: 0 }));
  notify.notify(stuck, transitionRecord({ priority: 1 }));
  await notify.finish(10_000);
  const [child, next] = readFileSync(out, "utf8").trim().split("\n");
  assert.equal(next, "told 1");
  assert.equal(isRunning(Number(child)), false);
  assert.deepEqual(events, ["notify-failed"]);
  assert.deepEqual(notify.counts, { waiting: 0, succeeded: 1, failed: 1, dropped: 0 });
});

test("notify: finish() is bounded: what runs is killed, what waits is counted as dropped", async () => {
  const { runner: notify, events } = runner();
  const stuck = target("exec sleep 60", 60_000);
  for (const priority of [0, 1, 2]) notify.notify(stuck, transitionRecord({ priority }));
  const begun = performance.now();
  const patient = notify.finish(60_000);
  await notify.finish(100); // whoever calls last decides
  await patient;
  assert.ok(performance.now() - begun < 5_000);
  assert.deepEqual(events, ["notify-abandoned"]);
  assert.equal(notify.counts.dropped, 3);
});

test("notify: a program that cannot be run is a failure with its reason, not a crash", async () => {
  const lines: string[] = [];
  const notify = new NotifyRunner({ log: (_level, _event, message) => void lines.push(message) });
  const missing = { router: virtualRouterConfig({ notify: { command: ["/nowhere"], timeoutMs: 1_000 } }) };
  notify.notify({ ...missing, identity: undefined }, transitionRecord());
  await notify.finish(5_000);
  assert.match(lines[0]!, /router edge \(backup → active\) failed: cannot be run: .*ENOENT/);
});
