import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { matchesSelector, needsHolders, parseSelector, type SelectorSubject } from "./selector.ts";

const CONNECTION: SelectorSubject = {
  isListening: false,
  localHost: "10.0.0.1",
  localPort: 80,
  remoteHost: "10.1.2.3",
  remotePort: 5000,
};
const LISTENER: SelectorSubject = { ...CONNECTION, isListening: true, remoteHost: "0.0.0.0", remotePort: 0 };
const IPV6: SelectorSubject = { ...CONNECTION, localHost: "2001:db8::1", remoteHost: "2001:db8::2" };
const HOLDERS = [
  { pid: 7, fd: 3, processName: "nginx" },
  { pid: 8, fd: 4, processName: "nginx" },
];

function selects(words: string, subject: SelectorSubject = CONNECTION): boolean {
  const selector = parseSelector(words.split(" "));
  assert.ok(selector.ok, JSON.stringify(selector));
  return matchesSelector(selector.value, subject, HOLDERS);
}

test("parseSelector() and matchesSelector(): every kind of term, both ways", () => {
  const table: [string, SelectorSubject, boolean][] = [
    ["all", CONNECTION, true],
    ["pid:7", CONNECTION, true],
    ["pid:9", CONNECTION, false],
    ["process:nginx", CONNECTION, true],
    ["process:ngin", CONNECTION, false],
    ["fd:8/4", CONNECTION, true],
    ["fd:7/4", CONNECTION, false],
    ["port:80", CONNECTION, true],
    ["port:5000", CONNECTION, true],
    ["port:81", CONNECTION, false],
    ["listen:80", CONNECTION, false],
    ["listen:80", LISTENER, true],
    ["listen:*", LISTENER, true],
    ["listen:81", LISTENER, false],
    ["peer:10.0.0.0/8", CONNECTION, true],
    ["peer:10.1.2.2/31", CONNECTION, true],
    ["peer:10.1.2.4/31", CONNECTION, false],
    ["peer:10.1.2.3", CONNECTION, true],
    ["peer:0.0.0.0/0", CONNECTION, true],
    ["peer:0.0.0.0/0", LISTENER, false],
    ["peer:::/0", CONNECTION, false],
    ["peer:2001:db8::/32", IPV6, true],
    ["peer:2001:db9::/32", IPV6, false],
    ["peer:::ffff:10.1.2.3", CONNECTION, true],
    ["10.0.0.1:80->10.1.2.3:5000", CONNECTION, true],
    ["10.0.0.1:80→10.1.2.3:5000", CONNECTION, true],
    ["10.0.0.1:80->10.1.2.3:5001", CONNECTION, false],
    ["*:80->*", CONNECTION, true],
    [":80->10.1.2.3", CONNECTION, true],
    ["*->*:5000", CONNECTION, true],
    ["*->*", LISTENER, false],
    ["[2001:DB8::1]:80->2001:db8:0::2", IPV6, true],
    ["[2001:db8::9]:80->*", IPV6, false],
  ];
  for (const [words, subject, expected] of table) assert.equal(selects(words, subject), expected, words);
});

test("several terms mean and, and one holder has to satisfy all that ask about holders", () => {
  assert.equal(selects("process:nginx port:80 peer:10.0.0.0/8"), true);
  assert.equal(selects("process:nginx,port:81"), false);
  assert.equal(selects("pid:7 fd:7/3"), true);
  assert.equal(selects("pid:7 fd:8/4"), false, "pid 7 and pid 8 are two holders");
});

test("needsHolders() is true only for pid, process and fd", () => {
  const needs = (words: string): boolean => {
    const selector = parseSelector([words]);
    return selector.ok && needsHolders(selector.value);
  };
  assert.deepEqual(["pid:1", "process:x", "fd:1/2", "port:1", "all", "listen:*"].map(needs), [
    true,
    true,
    true,
    false,
    false,
    false,
  ]);
});

test("parseSelector() refuses with a sentence", () => {
  const table = [
    ["", "no selector named"],
    ["nginx", '"nginx" is no selector'],
    ["pid:0", '"pid:0": "0" is not a number from 1 to 2147483647'],
    ["port:65536", '"port:65536": "65536" is not a number from 1 to 65535'],
    ["peer:host", '"peer:host": "host" is no address or network'],
    ["peer:10.0.0.0/33", '"peer:10.0.0.0/33": the prefix length is not a number from 0 to 32'],
    ["fd:7", '"fd:7" is not fd:PID/FD'],
    ["1.2.3.4:99999->*", '"1.2.3.4:99999->*" is not LOCAL->REMOTE'],
    ["->", '"->" is not LOCAL->REMOTE'],
  ];
  for (const [words, reason] of table) {
    const selector = parseSelector([words!]);
    assert.equal(selector.ok ? "accepted" : selector.reason, reason);
  }
});

test("parseSelector() never throws", () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      const selector = parseSelector([text, `peer:${text}`, `${text}->${text}`]);
      if (selector.ok) matchesSelector(selector.value, IPV6, HOLDERS);
    }),
  );
});
