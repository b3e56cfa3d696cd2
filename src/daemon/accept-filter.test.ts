import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { requirePeer, skipOrFail } from "../../test/harness/peers.ts";
import { virtualRouterConfig } from "../testing/gateway-config.ts";
import { AcceptFilter, acceptTable, tableName } from "./accept-filter.ts";

const CLOSED = virtualRouterConfig({
  interface: "eth0.5",
  acceptMode: false,
  extraAddresses: [{ family: "inet6", host: "2001:db8::10", prefixLength: 64 }],
});

function filter(failures: (string | undefined)[] = []): { filter: AcceptFilter; scripts: string[] } {
  const scripts: string[] = [];
  const runNft = (script: string): string | undefined => {
    scripts.push(script);
    return failures.shift();
  };
  return { filter: new AcceptFilter(runNft), scripts };
}

test("tableName() belongs to the router, not to the process, in characters nft takes", () => {
  assert.equal(tableName(CLOSED), "holdfast_eth0_5_inet_51");
});

test("acceptTable() drops both families and lets neighbour discovery through (RFC 9568 §6.1, Accept_Mode)", () => {
  const lines = acceptTable(CLOSED)
    .split("\n")
    .map((line) => line.trim());
  const discovery = lines.indexOf("icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept");
  assert.ok(discovery > 0);
  assert.ok(lines.indexOf("ip6 daddr { 2001:db8::10 } drop") > discovery);
  assert.ok(lines.includes("ip daddr { 192.0.2.10 } drop"));
});

test("AcceptFilter makes no table for routers that accept, or that own their addresses; what a killed gateway left is removed", () => {
  const { filter: it, scripts } = filter(["nft is not installed (package nftables)"]);
  const routers = [virtualRouterConfig(), virtualRouterConfig({ id: 52, acceptMode: false, priority: 255 })];
  it.apply(routers);
  it.apply(routers);
  assert.equal(it.remove(), undefined);
  const tables = routers.map(tableName);
  assert.deepEqual(scripts, [
    tables.map((table) => `add table inet ${table}\ndelete table inet ${table}\n`).join(""),
  ]);
});

test("AcceptFilter changes what changed, once, and removes all of it at the end", () => {
  const { filter: it, scripts } = filter();
  const other = { ...CLOSED, id: 52 };
  it.apply([CLOSED]);
  it.apply([CLOSED]);
  assert.equal(scripts.length, 1);
  it.apply([other]);
  assert.match(scripts[1]!, /delete table inet holdfast_eth0_5_inet_51\n/);
  assert.match(scripts[1]!, /table inet holdfast_eth0_5_inet_52 \{/);
  assert.equal(it.remove(), undefined);
  assert.equal(
    scripts[2],
    "add table inet holdfast_eth0_5_inet_52\ndelete table inet holdfast_eth0_5_inet_52\n",
  );
});

test("AcceptFilter says which table failed and why, and tries again the next time", () => {
  const { filter: it, scripts } = filter(["nft is not installed (package nftables)"]);
  assert.throws(
    () => it.apply([CLOSED]),
    /accept_mode: false .* holdfast_eth0_5_inet_51: nft is not installed/,
  );
  it.apply([CLOSED]);
  assert.equal(scripts.length, 2);
});

test("the kernel takes the table, drops a ping to the address, and loses the table again", (t) => {
  if (!requirePeer(t, "nft", "unshare")) return;
  const canMakeNamespaces = spawnSync("unshare", ["-n", "true"]).status === 0;
  if (!canMakeNamespaces && !skipOrFail(t, "needs the right to make network namespaces (root)")) return;
  const table = acceptTable(virtualRouterConfig({ acceptMode: false }));
  const { filter: it, scripts } = filter();
  it.apply([virtualRouterConfig({ acceptMode: false })]);
  it.remove();
  // A namespace of its own: nothing is left, whatever happens.
  const script = `ip link set lo up; ip addr add 192.0.2.10/24 dev lo
    ping -c1 -W1 192.0.2.10 >/dev/null && echo open
    printf '%s' "$TABLE" | nft -f - && printf '%s' "$TABLE" | nft -f - && echo installed-twice
    ping -c1 -W1 192.0.2.10 >/dev/null || echo closed
    printf '%s' "$REMOVAL" | nft -f - && nft list tables && ping -c1 -W1 192.0.2.10 >/dev/null && echo open`;
  const { stdout, stderr } = spawnSync("unshare", ["-n", "sh", "-c", script], {
    encoding: "utf8",
    env: { ...process.env, TABLE: table, REMOVAL: scripts[1] },
  });
  assert.equal(stdout, "open\ninstalled-twice\nclosed\nopen\n", stderr);
});
