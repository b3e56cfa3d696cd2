import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  formatEntry,
  isSettled,
  type JournalEntry,
  parseJournal,
  type SocketChanged,
} from "./undo-journal.ts";

const RUN: JournalEntry = {
  entry: "run",
  version: 1,
  id: "20261122-004512-1",
  command: "enable",
  arguments: ["process:nginx"],
  startedAt: "2026-11-22T00:45:12Z",
  bootId: "boot",
  pid: 1,
  startTicks: 2,
};
const OPTIONS = {
  isKeepaliveOn: false,
  idleSeconds: 7200,
  intervalSeconds: 75,
  probeCount: 9,
  userTimeoutMs: 0,
};

function changed(fd: number, inode: number, before = OPTIONS): SocketChanged {
  const after = { ...OPTIONS, isKeepaliveOn: true };
  return {
    entry: "socket",
    pid: 7,
    startTicks: 9,
    processName: "nginx",
    fd,
    inode,
    socket: "x",
    before,
    after,
  };
}

function parse(...entries: JournalEntry[]) {
  const run = parseJournal(entries.map(formatEntry).join(""));
  assert.ok(run !== undefined);
  return run;
}

test("parseJournal() gives what is not settled yet; the descriptor alone is not enough, the inode counts", () => {
  const run = parse(
    RUN,
    changed(3, 30),
    changed(4, 40),
    { entry: "cgroup", cgroup: "/c", programId: 5, changes: [] },
    { entry: "settled", pid: 7, fd: 3, inode: 30 },
    { entry: "settled", pid: 7, fd: 4, inode: 41 },
  );
  assert.deepEqual(
    run.sockets.map(({ fd }) => fd),
    [4],
  );
  assert.equal(run.cgroups.length, 1);
  assert.equal(isSettled(run), false);
  assert.equal(isSettled(parse(RUN, changed(3, 30), { entry: "settled", pid: 7, fd: 3, inode: 30 })), true);
});

test("parseJournal() keeps the first `before` of a socket that was changed twice", () => {
  const run = parse(RUN, changed(3, 30), changed(3, 30, { ...OPTIONS, idleSeconds: 1 }));
  assert.equal(run.sockets[0]!.before.idleSeconds, 7200);
});

test("parseJournal() passes over a last line that was cut off, and a file of another version", () => {
  const text = formatEntry(RUN) + formatEntry(changed(3, 30)) + formatEntry(changed(4, 40)).slice(0, 50);
  assert.equal(parseJournal(text)?.sockets.length, 1);
  assert.equal(parseJournal(formatEntry(RUN).replace('"version":1', '"version":2')), undefined);
  assert.equal(parseJournal(""), undefined);
});

test("parseJournal() never throws", () => {
  fc.assert(fc.property(fc.string(), (text) => void parseJournal(`${formatEntry(RUN)}${text}\n[]\nnull\n3`)));
});
