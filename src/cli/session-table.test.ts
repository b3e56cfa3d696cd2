import assert from "node:assert/strict";
import { test } from "node:test";
import type { ListedSession } from "../daemon/session-collector.ts";
import { formatSessions, keepaliveVerdict } from "./session-table.ts";

const SESSION: ListedSession = {
  worker: 0,
  id: 7,
  listener: "postgres",
  pool: "pg",
  server: "10.0.0.11:5432",
  client: "192.0.2.7:50123",
  local: "10.0.0.1:5432",
  upstreamLocal: "10.0.0.1:41000",
  ageMs: 3_700_000,
  idleMs: 84_900,
  leftMs: 5_100,
  bytesFromClient: 512,
  bytesFromServer: 5 * 1024 ** 3,
  state: "established",
  clientKeepalive: "1m:10s:6",
  serverKeepalive: "off",
};

test("formatSessions() shows both ends, times and bytes, and answers the question about keepalive once", () => {
  const second = { ...SESSION, id: 8, state: "client-ended" as const };
  const lines = formatSessions({ total: 5, sessions: [SESSION, second], missingWorkers: [1] });
  assert.match(
    lines[1]!,
    /192\.0\.2\.7:50123 +10\.0\.0\.1:5432 +10\.0\.0\.11:5432 +established +1h1m +1m24s +5\.1s/,
  );
  assert.match(lines[1]!, /512 B +5\.0 GiB +\[1\]$/);
  assert.match(lines[2]!, /client-ended .*\[1\]$/);
  const text = lines.join("\n");
  assert.match(text, /2 of 5 sessions; more with --limit N/);
  assert.match(text, /worker 1 did not answer/);
  assert.equal(text.match(/only payload refreshes idle_timeout/g)?.length, 1);
});

test("formatSessions() says so when there is none", () => {
  assert.deepEqual(formatSessions({ total: 0, sessions: [], missingWorkers: [] }), ["no TCP session"]);
});

test("keepaliveVerdict() never says yes, and tells which socket has probes and what they detect", () => {
  const { keepsSession, sentence } = keepaliveVerdict(SESSION);
  assert.equal(keepsSession, false);
  assert.match(sentence, /^No: only payload/);
  assert.match(
    sentence,
    /probes the client after 60 s of silence, every 10 s; when it leaves 6 unanswered, 120 s in all/,
  );
  assert.match(sentence, /does not probe the server/);
});

test("keepaliveVerdict() says it once when both sockets have the same probes", () => {
  const { sentence } = keepaliveVerdict({ ...SESSION, serverKeepalive: SESSION.clientKeepalive });
  assert.match(sentence, /probes the client and the server after 60 s/);
  assert.equal(sentence.match(/The gateway/g)?.length, 1);
});

test("keepaliveVerdict() has nothing to keep without idle_timeout, and leaves out a server that is not there", () => {
  assert.match(keepaliveVerdict({ ...SESSION, leftMs: -1 }).sentence, /^No, and nothing has to/);
  const connecting = { ...SESSION, leftMs: -1, state: "connecting" as const, serverKeepalive: "" };
  assert.doesNotMatch(keepaliveVerdict(connecting).sentence, /server/);
});
