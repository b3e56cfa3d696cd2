/** Tests of virtual routers in the configuration: defaults and short forms, every error and warning with its place, the reload summary. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { diffConfig } from "./diff.ts";
import { loaded, refusals } from "./load-fixtures.ts";
import type { VirtualRouterConfig } from "./types.ts";
import { parseAddressPrefix } from "./virtual-router-section.ts";

const GATEWAY = `listeners: { web: { bind: 80, http: { routes: [{ pool: app }] } } }
pools: { app: { servers: [10.0.0.1:80, 10.0.0.2:80] } }
`;

/** A file with one router, `edge`; the keys follow each other on line 2. */
function edge(keys: string): string {
  return `virtual_routers:\n  edge: { interface: eth0, id: 51, ${keys} }\n`;
}
const ADDRESS = 'addresses: "192.0.2.10/24"';

function router(keys: string): VirtualRouterConfig {
  return loaded(edge(keys)).config.virtualRouters[0]!;
}

test("a router alone is a whole configuration: no worker runs, and every default is filled in", () => {
  const { config, warnings } = loaded(edge(ADDRESS));
  assert.deepEqual(warnings, []);
  assert.equal(config.workers, 0);
  assert.deepEqual(config.listeners, []);
  assert.equal(config.stateDir, undefined);
  assert.deepEqual(config.virtualRouters, [
    {
      name: "edge",
      interface: "eth0",
      id: 51,
      version: 3,
      family: "inet",
      priority: 100,
      advertIntervalMs: 1000,
      preempt: true,
      preemptDelayMs: 0,
      addresses: [{ family: "inet", host: "192.0.2.10", prefixLength: 24 }],
      extraAddresses: [],
      sourceAddress: undefined,
      unicastPeers: [],
      checksum: "rfc9568",
      authPass: undefined,
      acceptMode: true,
      useVmac: false,
      onAddressLost: "restore",
      addressLeaseMs: "auto",
      announce: { repeat: 5, repeatIntervalMs: 0, delayMs: 5000, refreshMs: 0 },
      track: { interfaces: [], pools: [], checks: [], gateway: undefined },
      notify: undefined,
      syncGroup: undefined,
    },
  ]);
});

test("the workers are tracked when there are listeners, unless gateway is off", () => {
  const track = (text: string) =>
    loaded(`${GATEWAY}${edge(`${ADDRESS}${text}`)}`).config.virtualRouters[0]!.track;
  assert.deepEqual(track("").gateway, { weight: 0, timeoutMs: 3000 });
  assert.deepEqual(track(", track: { gateway: on }").gateway, { weight: 0, timeoutMs: 3000 });
  assert.deepEqual(track(", track: { gateway: { weight: -20, timeout: 500ms } }").gateway, {
    weight: -20,
    timeoutMs: 500,
  });
  for (const off of ["off", "false"]) assert.equal(track(`, track: { gateway: ${off} }`).gateway, undefined);
});

test("preempt is a switch or a delay", () => {
  const preempt = (text: string) => {
    const { preempt, preemptDelayMs } = router(`${ADDRESS}, preempt: ${text}`);
    return [preempt, preemptDelayMs];
  };
  assert.deepEqual(preempt("true"), [true, 0]);
  assert.deepEqual(preempt("off"), [false, 0]);
  assert.deepEqual(preempt("{ delay: 30s }"), [true, 30_000]);
});

test("short forms: one address, an interface's name, a check's program, a pool without settings", () => {
  const { config } = loaded(
    `${GATEWAY}${edge(`${ADDRESS}, track: { interfaces: [eth1, { interface: eth2, weight: -20 }], pools: { app: }, checks: { route: { exec: [/bin/check, -v] }, dns: /bin/dns } }, notify: /bin/tell`)}`,
  );
  const { track, notify } = config.virtualRouters[0]!;
  assert.deepEqual(track.interfaces, [
    { interface: "eth1", weight: 0, downDelayMs: 0, upDelayMs: 0 },
    { interface: "eth2", weight: -20, downDelayMs: 0, upDelayMs: 0 },
  ]);
  assert.deepEqual(track.pools, [{ pool: "app", below: 1, weight: 0 }]);
  assert.deepEqual(track.checks, [
    {
      name: "route",
      command: ["/bin/check", "-v"],
      intervalMs: 2000,
      timeoutMs: 1000,
      rise: 2,
      fall: 3,
      weight: 0,
    },
    {
      name: "dns",
      command: ["/bin/dns"],
      intervalMs: 2000,
      timeoutMs: 1000,
      rise: 2,
      fall: 3,
      weight: 0,
    },
  ]);
  assert.deepEqual(notify, { command: ["/bin/tell"], timeoutMs: 10_000 });
});

test("parseAddressPrefix() fills in the full length and writes IPv6 canonically (RFC 5952)", () => {
  const parse = (text: string) => {
    const result = parseAddressPrefix(text);
    return result.ok
      ? `${result.value.family} ${result.value.host}/${result.value.prefixLength}`
      : result.reason;
  };
  assert.equal(parse("192.0.2.10"), "inet 192.0.2.10/32");
  assert.equal(parse("2001:DB8:0::10"), "inet6 2001:db8::10/128");
  assert.match(parse("192.0.2.10/33"), /must be 0 to 32/);
  assert.match(parse("192.0.2.10/0"), /must not be 0/);
  assert.match(parse("224.0.0.18/24"), /cannot be the address/);
  assert.match(parse("ff02::12/64"), /cannot be the address/);
  assert.match(parse("192.0.2.10/24 dev eth0"), /has more than an address/);
});

/** Keys after `interface` and `id`, and what is refused. */
const REFUSED: readonly (readonly [keys: string, expected: string])[] = [
  ["priority: 100", "f:2:9: error: virtual_routers.edge.addresses: is missing"],
  [`${ADDRESS}, version: 4`, "error: virtual_routers.edge.version: 4 is not a version of VRRP"],
  [`${ADDRESS}, priority: 0`, "virtual_routers.edge.priority: 0 is out of range: allowed is 1 to 255"],
  [`${ADDRESS}, auth: { pass: secret }`, "virtual_routers.edge.auth: version 3 has no authentication"],
  [`${ADDRESS}, version: 2, auth: { pass: ninechars }`, "is not a password of 1 to 8 ASCII characters"],
  [
    `${ADDRESS}, version: 2, advert_interval: 400ms`,
    "advert_interval: 400ms: version 2 counts in whole seconds\n  hint: write 1s, or version: 3",
  ],
  [`${ADDRESS}, advert_interval: 41s`, "advert_interval: 41s is more than version 3 can say"],
  [`${ADDRESS}, advert_interval: 105ms`, "105ms: version 3 counts in steps of 10ms\n  hint: write 110ms"],
  [`${ADDRESS}, advert_interval: 5ms`, '"5ms" is out of range: allowed is 10ms to 4m15s'],
  ['version: 2, addresses: "fe80::1/64"', "virtual_routers.edge.version: version 2 knows no IPv6"],
  [
    'addresses: ["192.0.2.10/24", "2001:db8::10/64"]',
    "f:2:65: error: virtual_routers.edge.addresses[1]: 2001:db8::10/64 is IPv6 among IPv4: an advertisement carries one family\n  hint: move it to extra_addresses",
  ],
  [
    'addresses: ["192.0.2.10/24", "192.0.2.10/32"]',
    "addresses[1]: 192.0.2.10 is an address of this router already (line 2)",
  ],
  [
    `${ADDRESS}, extra_addresses: ["192.0.2.10/24"]`,
    "extra_addresses[0]: 192.0.2.10 is an address of this router already (line 2)",
  ],
  [
    `addresses: [${Array.from({ length: 256 }, (_, index) => `10.0.${index}.1/24`).join(", ")}]`,
    "256 addresses do not fit into an advertisement: at most 255",
  ],
  [`${ADDRESS}, priority: 255, preempt: false`, "the owner of the addresses (priority 255) always preempts"],
  [
    `${ADDRESS}, source_address: 10.0.0.1, unicast_peers: [10.0.0.2, 10.0.0.1]`,
    "unicast_peers[1]: 10.0.0.1 is this router's own source_address",
  ],
  [`${ADDRESS}, unicast_peers: [10.0.0.2, 10.0.0.2]`, "unicast_peers[1]: 10.0.0.2 is written twice"],
  [`${ADDRESS}, unicast_peers: ["fe80::2"]`, "unicast_peers[0]: fe80::2 is IPv6, the addresses are IPv4"],
  [`${ADDRESS}, source_address: "fe80::2"`, "source_address: fe80::2 is IPv6, the addresses are IPv4"],
  [`${ADDRESS}, track: { pools: { web: { below: 2 } } }`, 'pools.web: there is no pool "web"'],
  [`${ADDRESS}, track: { gateway: on }`, "the file has no listeners, so no worker runs"],
  [`${ADDRESS}, address_lease: 1500ms`, "1s500ms is not 0 or whole seconds from 2s"],
  [`${ADDRESS}, address_lease: 1s`, "1s is not 0 or whole seconds from 2s"],
  [`${ADDRESS}, track: { interfaces: ["very-long-interface"] }`, "is not the name of an interface"],
  [`${ADDRESS}, notify: notify.sh master`, "is one word with spaces: no shell takes it apart"],
  // keepalived's words
  [`${ADDRESS}, state: MASTER`, "routers have no initial state here: the highest priority is active"],
  ['virtual_router_id: 51, addresses: "192.0.2.1"', "hint: here it is called id"],
  [`${ADDRESS}, advert_int: 1`, "hint: here it is called advert_interval"],
  [`${ADDRESS}, nopreempt: on`, "hint: write preempt: false"],
  [`${ADDRESS}, virtual_ipaddress: x`, "hint: here it is called addresses"],
  [`${ADDRESS}, unicast_src_ip: x`, "hint: here it is called source_address"],
  [`${ADDRESS}, authentication: x`, "hint: here it is called auth"],
  [`${ADDRESS}, track_script: x`, "hint: write track: { checks: { NAME:"],
  [`${ADDRESS}, garp_master_delay: 1`, "hint: write announce: { delay: … }"],
  [`${ADDRESS}, auth_hmac: x`, "keepalived's HMAC is not supported yet"],
  [`${ADDRESS}, track: { interfaces: [{ interface: eth1, weigth: 1 }] }`, "did you mean weight?"],
  [`${ADDRESS}, preempt: { delai: 1s }`, "did you mean delay?"],
];

for (const [keys, expected] of REFUSED) {
  test(`loadConfig() refuses a router with ${keys.slice(0, 90)}`, () => {
    const all = refusals(edge(keys));
    const found = all.filter((text) => text.includes(expected));
    assert.equal(found.length, 1, `${expected}\n${all.join("\n")}`);
    assert.equal(all.length, 1, all.join("\n"));
  });
}

test("an id is taken once per interface and family, whatever the version", () => {
  const text = (second: string) => `${edge(ADDRESS)}  two: { ${second} }\n`;
  const [taken] = refusals(text('interface: eth0, id: 51, version: 2, addresses: "192.0.2.11/24"'));
  assert.equal(
    taken,
    "f:3:31: error: virtual_routers.two.id: id 51 is taken on eth0 by router edge (line 2)\n  hint: give one of them another id, on every node, or put all addresses into one router",
  );
  loaded(text('interface: eth1, id: 51, addresses: "192.0.2.11/24"'));
  loaded(text('interface: eth0, id: 51, addresses: "fe80::11/64"'));
});

test("an address belongs to one router; a link-local one to one per interface", () => {
  const two = (address: string, other: string) =>
    `${edge(`addresses: "${address}"`)}  two: { interface: ${other}, id: 52, addresses: "${address}" }\n`;
  assert.match(refusals(two("192.0.2.10", "eth1"))[0]!, /is an address of router edge already \(line 2\)/);
  assert.match(refusals(two("fe80::1", "eth0"))[0]!, /is an address of router edge already/);
  loaded(two("fe80::1", "eth1"));
});

test("a tracked pool needs as many servers as below asks for; names may stand for several", () => {
  const text = (below: number, servers: string) =>
    `pools: { web: { servers: [${servers}] } }\n${edge(`${ADDRESS}, track: { pools: { web: { below: ${below} } } }`)}`;
  assert.deepEqual(loaded(text(2, "10.0.0.1:80, 10.0.0.2:80")).warnings, [], "a tracked pool is used");
  assert.match(refusals(text(3, "10.0.0.1:80, 10.0.0.2:80"))[0]!, /3 is more than pool web has \(2\)/);
  loaded(text(3, "web.internal:80"));
});

/** Keys after `interface` and `id`, and the one warning. */
const WARNED: readonly (readonly [keys: string, expected: string])[] = [
  [
    'addresses: "2001:db8::10/64"',
    'the first address is not link-local, as RFC 9568 §5.2.9 wants it: hosts that learn their router from router advertisements would not follow it\n  hint: put a link-local address first, the same on every router: "fe80::200:5eff:fe00:233/64"',
  ],
  [
    `${ADDRESS}, track: { interfaces: [{ interface: eth1, down_delay: 3s }] }`,
    "down_delay: 3s is longer than two advertisement intervals (1s each): the others take over before this router notices",
  ],
  [`${ADDRESS}, track: { interfaces: [eth0] }`, "the router's own interface is always tracked"],
  [`${ADDRESS}, address_lease: 2s`, "2s is shorter than the others wait (up to 4s)"],
  [`${ADDRESS}, sync_group: edge`, "is the only router of group edge: nothing is synchronised"],
  [`${ADDRESS}, version: 2, checksum: pseudo-header`, "has no effect: version 2 has one kind of checksum"],
  [`${ADDRESS}, priority: 255, accept_mode: off`, "accept_mode: has no effect: the router is the owner"],
  [
    `${ADDRESS}, priority: 255, track: { interfaces: [{ interface: eth1, weight: -10 }] }`,
    "weights have no effect: the router is the owner",
  ],
  [
    `${ADDRESS}, priority: 20, track: { interfaces: [{ interface: eth1, weight: -50 }] }`,
    "all negative weights together (-50) take priority 20 below 1",
  ],
  [
    `${ADDRESS}, track: { checks: { route: { exec: /bin/true, interval: 1s, timeout: 2s } } }`,
    "2s is not below interval (1s)",
  ],
  [
    `addresses: [${Array.from({ length: 21 }, (_, index) => `10.0.${index}.1/24`).join(", ")}]`,
    "21 addresses: some routers read no more than 20 of an advertisement",
  ],
];

for (const [keys, expected] of WARNED) {
  test(`loadConfig() warns about a router with ${keys.slice(0, 90)}`, () => {
    const { warnings } = loaded(edge(keys));
    assert.equal(warnings.length, 1, warnings.join("\n"));
    assert.ok(warnings[0]!.includes(expected), warnings[0]);
  });
}

test("settings of workers are pointed at when there is no listener for them", () => {
  const { warnings } = loaded(`workers: 2\n${edge(ADDRESS)}`);
  assert.equal(warnings.length, 1);
  assert.match(warnings[0]!, /^f:1:10: warning: workers: has no effect: the file has no listeners/);
});

test("listeners and pools are missing only when there is no virtual router either", () => {
  assert.match(refusals("virtual_routers: {}\n").join("\n"), /listeners: is missing[\s\S]*pools: is missing/);
  assert.match(refusals(`listeners: {}\n${GATEWAY.split("\n")[1]}\n`).join("\n"), /must not be empty/);
});

test("diffConfig() tells what changed in a router in the words of the file, and never the password", () => {
  const summary = (before: string, after: string) =>
    diffConfig(loaded(edge(before)).config, loaded(edge(after)).config).summary;
  assert.deepEqual(summary(ADDRESS, ADDRESS), []);
  assert.deepEqual(
    summary(`${ADDRESS}, priority: 100`, `${ADDRESS}, priority: 150, advert_interval: 200ms`),
    ["virtual router edge: priority 100 → 150", "virtual router edge: advert_interval 1s → 200ms"],
  );
  assert.deepEqual(summary(ADDRESS, 'addresses: ["192.0.2.10/24", "192.0.2.11/24"]'), [
    "virtual router edge: addresses 192.0.2.10/24 → 192.0.2.10/24, 192.0.2.11/24",
  ]);
  const v2 = `${ADDRESS}, version: 2`;
  assert.deepEqual(summary(`${v2}, auth: { pass: old }`, `${v2}, auth: { pass: new }`), [
    "virtual router edge: auth.pass changed",
  ]);
  assert.deepEqual(summary(ADDRESS, `${ADDRESS}, track: { interfaces: [eth1] }, notify: /bin/true`), [
    "virtual router edge: track.interfaces eth1 added",
    "virtual router edge: notify added",
  ]);
  const check = (interval: string) =>
    `${ADDRESS}, track: { checks: { route: { exec: /bin/true, interval: ${interval} } } }`;
  assert.deepEqual(summary(check("2s"), check("4s")), [
    "virtual router edge: track.checks.route.interval 2s → 4s",
  ]);
  assert.deepEqual(summary(ADDRESS, `${ADDRESS}, preempt: { delay: 5s }`), [
    "virtual router edge: preempt.delay 0 → 5s",
  ]);
});
