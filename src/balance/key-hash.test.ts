/** Unit tests of the key hashes: published vectors of MurmurHash3_x86_32, independence of position, spread. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hashBytes, hashIpv4 } from "./key-hash.ts";

const hashText = (text: string): number => {
  const bytes = new TextEncoder().encode(text);
  return hashBytes(bytes, 0, bytes.length) >>> 0;
};

test("hashBytes() gives the published MurmurHash3_x86_32 values for seed 0", () => {
  assert.equal(hashText(""), 0);
  assert.equal(hashText("a"), 0x3c2569b2);
  assert.equal(hashText("abc"), 0xb3dd93fa);
  assert.equal(hashText("Hello, world!"), 0xc0363e43);
  assert.equal(hashText("The quick brown fox jumps over the lazy dog"), 0x2e4ff723);
});

test("hashBytes() hashes the range alone, wherever it lies, and returns a signed 32-bit integer", () => {
  const bytes = new TextEncoder().encode("xxxHello, world!yyy");
  assert.equal(hashBytes(bytes, 3, 16), 0xc0363e43 | 0);
});

test("hashIpv4() spreads the neighbours of one network evenly over 16 buckets", () => {
  const buckets = new Array<number>(16).fill(0);
  for (let host = 0; host < 16_000; host++) buckets[hashIpv4(0x0a000000 + host) >>> 28]!++;
  for (const count of buckets) assert.ok(count > 850 && count < 1150, `${count}`);
});
