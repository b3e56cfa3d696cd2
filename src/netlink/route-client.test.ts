import assert from "node:assert/strict";
import { test } from "node:test";
import { Errno } from "../sys/errno.ts";
import { decodeAttributes, decodeMessages, type NetlinkMessage, RequestBuilder } from "./message.ts";
import type { AddressToInstall } from "./route.ts";
import { type RequestSocket, RouteClient } from "./route-client.ts";

const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLM_F_DUMP_INTR = 0x10;
const NLM_F_ACK_TLVS = 0x300;
const RTM_NEWLINK = 16;
const IFA_PROTO = 11;

const ADDRESS: AddressToInstall = {
  linkIndex: 3,
  family: "inet",
  host: "192.0.2.10",
  prefixLength: 24,
  validSeconds: 2,
};

/** Answers each request with datagrams of the test's choice; none left: the time-out passed. */
class ScriptedKernel implements RequestSocket {
  bytes: Uint8Array = new Uint8Array(0);
  readonly requests: NetlinkMessage[] = [];
  readonly #answer: (request: NetlinkMessage, attempt: number) => Uint8Array[];
  #queue: Uint8Array[] = [];

  constructor(answer: (request: NetlinkMessage, attempt: number) => Uint8Array[]) {
    this.#answer = answer;
  }

  send(message: Uint8Array): number {
    const [request] = decodeMessages(message);
    this.requests.push(request!);
    this.#queue.push(...this.#answer(request!, this.requests.length));
    return 0;
  }

  receive(): number {
    const next = this.#queue.shift();
    if (next === undefined) return -Errno.EAGAIN;
    this.bytes = next;
    return next.length;
  }

  close(): void {
    this.#queue = [];
  }
}

function outcome(sequence: number, errno: number, text = ""): Uint8Array {
  const builder = new RequestBuilder(NLMSG_ERROR, text === "" ? 0x100 : NLM_F_ACK_TLVS, sequence);
  builder.u32(-errno >>> 0).bytes(new Uint8Array(16));
  return (text === "" ? builder : builder.attributeText(1, text)).finish();
}

function link(sequence: number, name: string, flags = 2): Uint8Array {
  const builder = new RequestBuilder(RTM_NEWLINK, flags, sequence);
  return builder.bytes(new Uint8Array(16)).attributeText(3, name).finish();
}

const done = (sequence: number, flags = 2): Uint8Array =>
  new RequestBuilder(NLMSG_DONE, flags, sequence).u32(0).finish();

const hasProtocol = (request: NetlinkMessage): boolean => decodeAttributes(request.payload, 8).has(IFA_PROTO);

test("installAddress() leaves IFA_PROTO out where the kernel refuses it, and remembers", () => {
  const kernel = new ScriptedKernel((request) => [
    outcome(request.sequence, hasProtocol(request) ? Errno.EINVAL : 0),
  ]);
  const client = new RouteClient(kernel);
  assert.equal(client.installAddress(ADDRESS), 0);
  assert.equal(client.installAddress(ADDRESS), 0);
  assert.deepEqual(kernel.requests.map(hasProtocol), [true, false, false]);
});

test("installAddress() goes on saying IFA_PROTO after a refusal that had another reason", () => {
  const kernel = new ScriptedKernel((request) => [
    outcome(request.sequence, Errno.EINVAL, "ipv4: Invalid prefix length"),
  ]);
  const client = new RouteClient(kernel);
  assert.equal(client.installAddress(ADDRESS), -Errno.EINVAL);
  assert.equal(client.lastErrorText, "ipv4: Invalid prefix length");
  client.installAddress(ADDRESS);
  assert.deepEqual(kernel.requests.map(hasProtocol), [true, false, true, false]);
});

test("answers to a request that was given up are not taken for those of the next", () => {
  const kernel = new ScriptedKernel((request, attempt) =>
    attempt === 1
      ? []
      : [outcome(request.sequence - 1, Errno.EEXIST, "late"), outcome(request.sequence, Errno.ENODEV)],
  );
  const client = new RouteClient(kernel);
  assert.equal(client.setLinkUp(3, true), -Errno.ETIMEDOUT);
  assert.equal(client.setLinkUp(3, true), -Errno.ENODEV);
  assert.equal(client.lastErrorText, "");
});

test("a dump in several datagrams is one list", () => {
  const kernel = new ScriptedKernel(({ sequence }) => [
    Buffer.concat([link(sequence, "lo"), link(sequence, "lan0")]),
    link(sequence, "lan1"),
    done(sequence),
  ]);
  const names = new RouteClient(kernel).links().map((it) => it.name);
  assert.deepEqual(names, ["lo", "lan0", "lan1"]);
});

test("a dump that something changed under is asked for again (NLM_F_DUMP_INTR), but not for ever", () => {
  const interruptedOnce = new ScriptedKernel(({ sequence }, attempt) =>
    attempt === 1
      ? [link(sequence, "stale", 2 | NLM_F_DUMP_INTR), done(sequence)]
      : [link(sequence, "fresh"), done(sequence)],
  );
  assert.deepEqual(
    new RouteClient(interruptedOnce).links().map((it) => it.name),
    ["fresh"],
  );
  const always = new ScriptedKernel(({ sequence }) => [
    link(sequence, "lo"),
    done(sequence, 2 | NLM_F_DUMP_INTR),
  ]);
  assert.equal(new RouteClient(always).links().length, 1);
  assert.equal(always.requests.length, 3);
});

test("a refused dump is an error, not an empty list", () => {
  const kernel = new ScriptedKernel(({ sequence }) => [outcome(sequence, Errno.EPERM, "not for you")]);
  assert.throws(() => new RouteClient(kernel).addresses(), /not for you/);
});
