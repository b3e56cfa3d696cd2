import assert from "node:assert/strict";
import test from "node:test";
import { adviceText } from "./advice-text.ts";
import type { Remedy, Scenario } from "./fate.ts";

const remedy = (setting: string, to = "60s:10s:3"): Remedy => ({
  hop: 0,
  setting,
  from: "off",
  to,
  directive: undefined,
  mends: [],
  leavesBroken: [],
  cost: "",
});
const dies: Scenario = { kind: "host-dies-idle", who: "server" };

test("adviceText() says the same value in several places once, and both sides of a proxy in three words", () => {
  const steps = [
    remedy("so_keepalive of client"),
    remedy("so_keepalive of haproxy towards the client"),
    remedy("tcp_user_timeout of client", "85 s"),
    remedy("so_keepalive of haproxy towards the server"),
    remedy("so_keepalive of server"),
  ];
  assert.equal(
    adviceText({ steps, forDeadHosts: [], before: [dies], after: [], contradictions: [] }),
    "No single value suffices, 5 do: so_keepalive of client, haproxy on both sides and server to 60s:10s:3; tcp_user_timeout of client from off to 85 s.",
  );
});

test("adviceText() names dead hosts apart, also when nothing else is wrong, and what is left", () => {
  const text = (steps: readonly Remedy[], after: readonly Scenario[]) =>
    adviceText({
      steps,
      forDeadHosts: [remedy("so_keepalive of server")],
      before: [dies],
      after,
      contradictions: [],
    });
  assert.equal(
    text([], []),
    "Only dead hosts are noticed too late. One value mends that: so_keepalive of server from off to 60s:10s:3.",
  );
  assert.equal(
    text([remedy("so_keepalive of client")], [dies]),
    "One value mends what is quiet or slow: so_keepalive of client from off to 60s:10s:3. For dead hosts, 1 more: so_keepalive of server from off to 60s:10s:3. Still broken: the server's host vanishes while the connection is idle.",
  );
});
