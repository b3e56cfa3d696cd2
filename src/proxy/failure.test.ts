import assert from "node:assert/strict";
import { test } from "node:test";
import { CLOSE_CAUSES } from "../observe/close-cause.ts";
import { Errno } from "../sys/errno.ts";
import { clientFailureCause, upstreamFailureCause } from "./failure.ts";

const clientName = (errno: number, inFlight = false) =>
  CLOSE_CAUSES[clientFailureCause(errno, inFlight)]!.name;
const upstreamName = (errno: number, inFlight = false) =>
  CLOSE_CAUSES[upstreamFailureCause(errno, inFlight)]!.name;

test("clientFailureCause() tells probes unanswered from data unacknowledged: both are ETIMEDOUT (tcp(7))", () => {
  assert.equal(clientName(Errno.ETIMEDOUT), "tcp-keepalive");
  assert.equal(clientName(Errno.ETIMEDOUT, true), "tcp-user-timeout");
  assert.equal(clientName(Errno.ECONNRESET), "peer-reset");
  assert.equal(clientName(Errno.EPIPE), "peer-reset");
  assert.equal(clientName(Errno.EHOSTUNREACH), "unreachable");
});

test("upstreamFailureCause() names what connect(2) and a broken connection report", () => {
  assert.equal(upstreamName(Errno.ECONNREFUSED), "upstream-refused");
  assert.equal(upstreamName(Errno.ENETUNREACH), "upstream-unreachable");
  assert.equal(upstreamName(Errno.ETIMEDOUT), "upstream-tcp-keepalive");
  assert.equal(upstreamName(Errno.ETIMEDOUT, true), "upstream-tcp-user-timeout");
  assert.equal(upstreamName(Errno.ECONNRESET), "upstream-reset");
});
