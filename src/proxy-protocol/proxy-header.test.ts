import assert from "node:assert/strict";
import test from "node:test";
import { crc32c } from "./crc32c.ts";
import {
  type DecodedProxyHeader,
  decodeProxyHeader,
  encodeOwnProxyHeader,
  encodeProxyHeader,
  PROXY_HEADER_BYTES_MAX,
} from "./proxy-header.ts";

const SIGNATURE = "0d0a0d0a000d0a515549540a";
const hex = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(" ", ""), "hex"));
const latin1 = (text: string) => Uint8Array.from(Buffer.from(text, "latin1"));
const inet = (host: string, port: number) => ({ family: "inet" as const, host, port });
const inet6 = (host: string, port: number) => ({ family: "inet6" as const, host, port });

function complete(decoded: DecodedProxyHeader) {
  assert.equal(decoded.status, "complete", JSON.stringify(decoded));
  return decoded as Extract<DecodedProxyHeader, { status: "complete" }>;
}

function reasonOf(bytes: Uint8Array | string): string {
  const decoded = decodeProxyHeader(typeof bytes === "string" ? latin1(bytes) : bytes);
  return decoded.status === "malformed" ? decoded.reason : decoded.status;
}

test("decodeProxyHeader() reads version 1 and leaves what follows (proxy-protocol §2.1)", () => {
  const line = "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n";
  const { header, length } = complete(decodeProxyHeader(latin1(`${line}GET / HTTP/1.1\r\n`)));
  assert.equal(length, line.length);
  assert.deepEqual(header, {
    version: "v1",
    source: inet("192.168.0.1", 56324),
    destination: inet("192.168.0.11", 443),
  });
});

test("decodeProxyHeader() reads version 1 over IPv6 in one spelling, and mapped IPv4 as IPv4", () => {
  const six = complete(decodeProxyHeader(latin1("PROXY TCP6 2001:DB8:0:0::1 ::1 0 65535\r\n")));
  assert.deepEqual(six.header.source, inet6("2001:db8::1", 0));
  assert.deepEqual(six.header.destination, inet6("::1", 65535));
  const mapped = complete(decodeProxyHeader(latin1("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n")));
  assert.deepEqual(mapped.header.source, inet("192.0.2.1", 1));
});

test("decodeProxyHeader() takes UNKNOWN with or without anything behind it (proxy-protocol §2.1)", () => {
  for (const line of ["PROXY UNKNOWN\r\n", "PROXY UNKNOWN ffff:f:f:f f 65535 65535\r\n"]) {
    const { header, length } = complete(decodeProxyHeader(latin1(line)));
    assert.equal(length, line.length);
    assert.deepEqual(header, { version: "v1", source: undefined, destination: undefined });
  }
});

test("decodeProxyHeader() accepts the longest version 1 line and no longer one (107 bytes)", () => {
  const longest = `PROXY UNKNOWN ${"f".repeat(107 - 16)}\r\n`;
  assert.equal(longest.length, 107);
  assert.equal(reasonOf(longest), "complete");
  assert.equal(reasonOf(longest.replace("\r\n", "f\r\n")), "v1-too-long");
  assert.equal(reasonOf(longest.slice(0, 106)), "incomplete");
});

test("decodeProxyHeader() refuses what is no version 1 header", () => {
  assert.equal(reasonOf("GET / HTTP/1.1\r\n"), "no-header");
  assert.equal(reasonOf("PROXYTCP4 "), "no-header");
  assert.equal(reasonOf("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n"), "v1-line-end");
  assert.equal(reasonOf("PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n"), "v1-protocol");
  const bodies = [
    "192.0.2.1 192.0.2.2 1",
    "192.0.2.1 192.0.2.2 1 2 3",
    "192.0.2.1  192.0.2.2 1 2",
    "192.0.2.1 192.0.2.2 1 65536",
    "192.0.2.1 192.0.2.2 01 2",
    "192.0.2.1 192.0.2.2 -1 2",
    "192.0.2.01 192.0.2.2 1 2",
    "192.0.2.256 192.0.2.2 1 2",
    "2001:db8::1 192.0.2.2 1 2",
    "192.0.2.1\t192.0.2.2 1 2",
    "evil.example\rX: 192.0.2.2 1 2",
  ];
  for (const body of bodies) assert.equal(reasonOf(`PROXY TCP4 ${body}\r\n`), "v1-addresses", body);
});

test("decodeProxyHeader() reads version 2 over IPv4, recorded from HAProxy (proxy-protocol §2.2)", () => {
  const bytes = hex(`${SIGNATURE} 21 11 000c ac130001 ac130003 a652 0050 474554`);
  const { header, length } = complete(decodeProxyHeader(bytes));
  assert.equal(length, 28);
  assert.deepEqual(header, {
    version: "v2",
    source: inet("172.19.0.1", 0xa652),
    destination: inet("172.19.0.3", 80),
  });
});

test("decodeProxyHeader() reads version 2 over IPv6 and reads from an offset", () => {
  const source = "20010db8000000000000000000000001";
  const destination = "00000000000000000000ffffc0000201";
  const bytes = hex(`ffff ${SIGNATURE} 21 21 0024 ${source} ${destination} 0001 0002 ff`);
  const { header, length } = complete(decodeProxyHeader(bytes, 2, bytes.length));
  assert.equal(length, 52);
  assert.deepEqual(header.source, inet6("2001:db8::1", 1));
  assert.deepEqual(header.destination, inet("192.0.2.1", 2));
});

test("decodeProxyHeader() uses the connection's own addresses for LOCAL, UNSPEC, UDP and UNIX", () => {
  const bodies = ["20 00 0000", "20 f7 0003 ffffff", "21 00 0000", `21 12 000c ${"01".repeat(12)}`];
  bodies.push(`21 31 00d8 ${"00".repeat(216)}`);
  for (const body of bodies) {
    const { header } = complete(decodeProxyHeader(hex(`${SIGNATURE} ${body}`)));
    assert.equal(header.source, undefined, body);
  }
});

test("decodeProxyHeader() refuses what is no version 2 header", () => {
  assert.equal(reasonOf(hex(`${SIGNATURE} 11`)), "v2-version");
  assert.equal(reasonOf(hex(`${SIGNATURE} 22`)), "v2-command");
  assert.equal(reasonOf(hex(`${SIGNATURE} 21 41 0000`)), "v2-family");
  assert.equal(reasonOf(hex(`${SIGNATURE} 21 13 0000`)), "v2-family");
  assert.equal(reasonOf(hex(`${SIGNATURE} 21 11 000b ${"00".repeat(11)}`)), "v2-addresses");
  assert.equal(reasonOf(hex(`${SIGNATURE} 21 11 0ff1`)), "v2-too-long");
  assert.equal(reasonOf(hex(`${SIGNATURE} 21 11 0ff0`)), "incomplete");
  assert.equal(reasonOf(hex(`${SIGNATURE.slice(0, -2)}0b`)), "no-header");
});

test("decodeProxyHeader() skips TLVs, and refuses one that is longer than the header", () => {
  const addresses = "c0000201 c0000202 0001 0002";
  const decoded = complete(decodeProxyHeader(hex(`${SIGNATURE} 21 11 0011 ${addresses} 04 0002 0000`)));
  assert.equal(decoded.length, 33);
  assert.equal(reasonOf(hex(`${SIGNATURE} 21 11 0011 ${addresses} 04 0003 0000`)), "v2-tlv");
  assert.equal(reasonOf(hex(`${SIGNATURE} 21 11 000e ${addresses} 0400`)), "v2-tlv");
});

test("decodeProxyHeader() checks the CRC32c where there is one (proxy-protocol §2.2.4)", () => {
  assert.equal(crc32c(latin1("123456789"), 0, 9), 0xe3069283); // the check value of CRC-32C
  const bytes = hex(`${SIGNATURE} 21 11 0013 c0000201 c0000202 0001 0002 03 0004 00000000`);
  new DataView(bytes.buffer).setUint32(31, crc32c(bytes, 0, 35));
  assert.equal(complete(decodeProxyHeader(bytes)).length, 35);
  bytes[20]! ^= 1;
  assert.equal(reasonOf(bytes), "v2-checksum");
});

test("encodeProxyHeader() writes both versions octet by octet", () => {
  const [source, destination] = [inet("192.0.2.7", 56324), inet("198.51.100.1", 443)];
  assert.equal(
    Buffer.from(encodeProxyHeader("v1", source, destination)).toString(),
    "PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n",
  );
  assert.deepEqual(
    encodeProxyHeader("v2", source, destination),
    hex(`${SIGNATURE} 21 11 000c c0000207 c6336401 dc04 01bb`),
  );
});

test("encodeProxyHeader() writes mixed families as IPv6, and drops zones", () => {
  const mixed = encodeProxyHeader("v1", inet("192.0.2.7", 1), inet6("fe80::1%eth0", 2));
  assert.equal(Buffer.from(mixed).toString(), "PROXY TCP6 ::ffff:192.0.2.7 fe80::1 1 2\r\n");
  const { header } = complete(
    decodeProxyHeader(encodeProxyHeader("v2", inet("192.0.2.7", 1), inet6("fe80::1%eth0", 2))),
  );
  assert.deepEqual(header.source, inet("192.0.2.7", 1));
  assert.deepEqual(header.destination, inet6("fe80::1", 2));
});

test("encodeProxyHeader() says that nothing is known of a UNIX socket's peer; our own connections are LOCAL", () => {
  const unix = { family: "unix" as const, path: "" };
  assert.equal(
    Buffer.from(encodeProxyHeader("v1", unix, inet("192.0.2.1", 1))).toString(),
    "PROXY UNKNOWN\r\n",
  );
  assert.deepEqual(encodeProxyHeader("v2", unix, unix), hex(`${SIGNATURE} 21 00 0000`));
  assert.deepEqual(encodeOwnProxyHeader("v2"), hex(`${SIGNATURE} 20 00 0000`));
  assert.equal(Buffer.from(encodeOwnProxyHeader("v1")).toString(), "PROXY UNKNOWN\r\n");
});

test("PROXY_HEADER_BYTES_MAX holds a header of any version", () => {
  assert.ok(PROXY_HEADER_BYTES_MAX >= 232);
});
