/** Tests of address.ts: the grammar of each kind, RFC 5952 spelling, and what overlaps. */
import assert from "node:assert/strict";
import { isIPv6 } from "node:net";
import { test } from "node:test";
import {
  addressesOverlap,
  canonicalIpAddress,
  formatAddress,
  isLocalAddress,
  parseBindAddress,
  parseCidr,
  parseIpAddress,
  parseServerAddress,
} from "./address.ts";
import type { SocketAddress } from "./types.ts";

function bind(text: unknown): SocketAddress {
  const result = parseBindAddress(text);
  assert.ok(result.ok, JSON.stringify(result));
  return result.value;
}

function reasonOf(result: { ok: boolean; reason?: string }): string {
  assert.equal(result.ok, false);
  return result.reason!;
}

test("parseBindAddress() takes literal addresses, wildcards, localhost, a port alone and unix paths", () => {
  assert.deepEqual(bind("10.0.0.1:80"), { family: "inet", host: "10.0.0.1", port: 80 });
  assert.deepEqual(bind("[::]:8080"), { family: "inet6", host: "::", port: 8080 });
  assert.deepEqual(bind("[2001:DB8:0:0::1]:80"), { family: "inet6", host: "2001:db8::1", port: 80 });
  for (const any of ["*:8080", ":8080", "8080", 8080]) {
    assert.deepEqual(bind(any), { family: "inet", host: "0.0.0.0", port: 8080 });
  }
  assert.deepEqual(bind("localhost:80"), { family: "inet", host: "127.0.0.1", port: 80 });
  assert.deepEqual(bind("unix:/run/x.sock"), { family: "unix", path: "/run/x.sock" });
});

test("parseBindAddress() says what is wrong", () => {
  const table: [unknown, string][] = [
    ["web.example.org:80", '"web.example.org:80": a name cannot be bound, only an address of this machine'],
    ["10.0.0.300:80", '"10.0.0.300:80": 10.0.0.300 is not an IPv4 address'],
    ["10.0.0.1", '"10.0.0.1" has no port'],
    ["10.0.0.1:0", '"10.0.0.1:0": the port must be 1 to 65535'],
    ["10.0.0.1:70000", '"10.0.0.1:70000": the port must be 1 to 65535'],
    ["10.0.0.1:http", '"10.0.0.1:http": the port must be 1 to 65535'],
    ["::1", '"::1": an IPv6 address needs brackets and a port'],
    ["[::x]:80", '"[::x]:80": "::x" is not an IPv6 address'],
    ["[fe80::1%eth0]:80", '"[fe80::1%eth0]:80": zone identifiers are not supported'],
    ["unix:x.sock", '"unix:x.sock": the path must be absolute'],
    [
      `unix:/${"x".repeat(107)}`,
      `${JSON.stringify(`unix:/${"x".repeat(107)}`).slice(0, 77)}...: a socket path has at most 107 bytes (unix(7))`,
    ],
    [null, "an empty value is not an address"],
    [{}, "a map is not an address"],
  ];
  for (const [input, reason] of table) assert.equal(reasonOf(parseBindAddress(input)), reason);
});

test("parseServerAddress() takes names too, but no mistyped address and no URL", () => {
  const name = parseServerAddress("App.internal:8080");
  assert.deepEqual(name, { ok: true, value: { family: "inet", host: "app.internal", port: 8080 } });
  assert.equal(
    reasonOf(parseServerAddress("10.0.0.300:80")),
    '"10.0.0.300:80": 10.0.0.300 is not an IPv4 address',
  );
  assert.equal(reasonOf(parseServerAddress("http://x:80")), '"http://x:80" is a URL, not an address');
  assert.equal(reasonOf(parseServerAddress("app")), '"app" has no port');
  assert.equal(reasonOf(parseServerAddress("a b:80")), '"a b:80": "a b" is not a host name');
  assert.equal(reasonOf(parseServerAddress(":80")), '":80": "" is not a host name');
});

test("canonicalIpAddress() writes IPv6 as RFC 5952 does", () => {
  const table: [string, string | undefined][] = [
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["2001:0db8::0001", "2001:db8::1"],
    ["0:0:0:0:0:0:0:0", "::"],
    ["::ffff:192.0.2.1", "::ffff:c000:201"],
    ["1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"],
    ["1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"],
    ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
    ["1:2:3:4:5:6:7:8::", undefined],
    ["1::2::3", undefined],
    [":::", undefined],
    ["1:2:3", undefined],
    ["192.0.2.1::", undefined],
    ["192.0.02.1", undefined],
    ["192.0.2", undefined],
  ];
  for (const [input, expected] of table) {
    assert.equal(canonicalIpAddress(input), expected, input);
    if (input.includes(":")) assert.equal(isIPv6(input), expected !== undefined, input);
  }
});

test("parseCidr() and parseIpAddress() give one spelling", () => {
  assert.deepEqual(parseCidr("10.0.0.0/8"), { ok: true, value: "10.0.0.0/8" });
  assert.deepEqual(parseCidr("192.0.2.7"), { ok: true, value: "192.0.2.7/32" });
  assert.deepEqual(parseCidr("2001:DB8::/32"), { ok: true, value: "2001:db8::/32" });
  assert.equal(reasonOf(parseCidr("10.0.0.0/33")), '"10.0.0.0/33": the prefix length must be 0 to 32');
  assert.equal(reasonOf(parseCidr("web/8")), '"web/8" is not an address range');
  assert.deepEqual(parseIpAddress("0::1"), { ok: true, value: "::1" });
  assert.equal(reasonOf(parseIpAddress("10.0.0.5:80")), '"10.0.0.5:80" is not an IP address');
});

test("addressesOverlap() knows wildcards, families and paths", () => {
  const table: [string, string, boolean][] = [
    ["0.0.0.0:80", "127.0.0.1:80", true],
    ["127.0.0.1:80", "*:80", true],
    ["127.0.0.1:80", "127.0.0.2:80", false],
    ["0.0.0.0:80", "0.0.0.0:81", false],
    ["0.0.0.0:80", "[::]:80", false],
    ["[::]:80", "[::1]:80", true],
    ["[0::1]:80", "[::1]:80", true],
    ["unix:/a", "unix:/a", true],
    ["unix:/a", "unix:/b", false],
    ["unix:/a", "*:80", false],
  ];
  for (const [a, b, expected] of table)
    assert.equal(addressesOverlap(bind(a), bind(b)), expected, `${a} ${b}`);
});

test("formatAddress() is the inverse of parsing; isLocalAddress() is this machine", () => {
  for (const text of ["10.0.0.1:80", "[::1]:80", "unix:/a"]) assert.equal(formatAddress(bind(text)), text);
  assert.deepEqual(
    ["127.0.0.1:1", "[::1]:1", "unix:/a", "10.0.0.1:1", "0.0.0.0:1"].map((text) =>
      isLocalAddress(bind(text)),
    ),
    [true, true, true, false, false],
  );
});
