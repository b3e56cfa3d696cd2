import assert from "node:assert/strict";
import { test } from "node:test";
import { CidrSet } from "./cidr-set.ts";

const ipv4 = (text: string) => text.split(".").reduce((number, octet) => (number << 8) | Number(octet), 0);

test("CidrSet compares IPv4 addresses up to the prefix", () => {
  const set = new CidrSet(["10.0.0.0/8", "192.0.2.128/25", "203.0.113.7/32"]);
  for (const inside of ["10.255.0.1", "192.0.2.128", "192.0.2.255", "203.0.113.7"])
    assert.ok(set.hasIpv4(ipv4(inside)), inside);
  for (const outside of ["11.0.0.1", "192.0.2.127", "203.0.113.8"])
    assert.ok(!set.hasIpv4(ipv4(outside)), outside);
});

test("CidrSet takes a whole family with /0, and nothing when it is empty", () => {
  assert.ok(new CidrSet(["0.0.0.0/0"]).hasIpv4(ipv4("255.255.255.255")));
  assert.ok(new CidrSet(["::/0"]).hasText("2001:db8::1"));
  const empty = new CidrSet([]);
  assert.ok(empty.isEmpty);
  assert.ok(!empty.hasIpv4(0));
});

test("CidrSet compares IPv6 within a group, and IPv4-mapped text as IPv4", () => {
  const set = new CidrSet(["2001:db8:8000::/33", "10.0.0.0/8"]);
  assert.ok(set.hasText("2001:db8:ffff::1"));
  assert.ok(!set.hasText("2001:db8:7fff::1"));
  assert.ok(set.hasText("10.1.2.3"));
  assert.ok(!set.hasText("unix:"));
});
