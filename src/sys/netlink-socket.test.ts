import assert from "node:assert/strict";
import { test } from "node:test";
import { skipOrFail } from "../../test/harness/peers.ts";
import { decodeMessages, decodeOutcome, NLM_F_DUMP, RequestBuilder } from "../netlink/message.ts";
import { heldCapabilities } from "./capabilities.ts";
import { Errno } from "./errno.ts";
import { bindFunction } from "./libc.ts";
import { allocate } from "./memory.ts";
import { NETLINK_ROUTE, NETLINK_SOCK_DIAG, NetlinkSocket } from "./netlink-socket.ts";
import { encodeSocketAddress } from "./sockaddr.ts";
import { AF_INET, bind, close, getsockname, listen, streamSocket } from "./socket.ts";

const getsockname_ = bindFunction("int getsockname(int, uintptr_t, uintptr_t)");
const sendto_ = bindFunction("int sendto(int, uintptr_t, uint, int, uintptr_t, uint)");

const SOCK_DIAG_BY_FAMILY = 20;
const IPPROTO_TCP = 6;
const TCP_LISTEN = 10;

/** Local ports of all listening IPv4 TCP sockets, as sock_diag(7) tells them; the outcome ends the dump. */
function listeningPorts(socket: NetlinkSocket): number[] {
  const request = new RequestBuilder(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, 77);
  // struct inet_diag_req_v2: family, protocol, extensions, padding, states, socket id of 48 bytes.
  request
    .u8(AF_INET)
    .u8(IPPROTO_TCP)
    .u8(0)
    .u8(0)
    .u32(1 << TCP_LISTEN)
    .bytes(new Uint8Array(48));
  assert.equal(socket.send(request.finish()), 0);
  const ports: number[] = [];
  for (;;) {
    assert.ok(socket.receive() > 0);
    for (const message of decodeMessages(socket.bytes)) {
      assert.equal(message.sequence, 77);
      const outcome = decodeOutcome(message);
      if (outcome !== undefined) {
        assert.equal(outcome.errno, 0, outcome.text);
        return ports;
      }
      ports.push((message.payload[4]! << 8) | message.payload[5]!);
    }
  }
}

test("a netlink socket speaks with families other than rtnetlink: sock_diag(7) lists a listening socket", () => {
  const listener = streamSocket(AF_INET);
  bind(listener, encodeSocketAddress({ family: "inet", host: "127.0.0.1", port: 0 }));
  listen(listener, 1);
  const name = getsockname(listener);
  assert.ok(name.family === "inet");
  const socket = new NetlinkSocket({ protocol: NETLINK_SOCK_DIAG, timeoutMs: 1000 });
  assert.ok(listeningPorts(socket).includes(name.port));
  close(listener);
  assert.ok(!listeningPorts(socket).includes(name.port));
  socket.close();
});

test("receive() does not wait without a time-out, and waits for it where there is one", () => {
  const immediate = new NetlinkSocket({ protocol: NETLINK_ROUTE });
  assert.equal(immediate.receive(), -Errno.EAGAIN);
  immediate.close();
  const patient = new NetlinkSocket({ protocol: NETLINK_ROUTE, timeoutMs: 30 });
  const beganAtMs = performance.now();
  assert.equal(patient.receive(), -Errno.EAGAIN);
  assert.ok(performance.now() - beganAtMs >= 25);
  patient.close();
});

test("receive() throws away what another process sends: only the kernel (port 0) is believed", (t) => {
  if (!heldCapabilities().has("CAP_NET_ADMIN")) return void skipOrFail(t, "needs CAP_NET_ADMIN: run as root");
  const victim = new NetlinkSocket({ protocol: NETLINK_ROUTE });
  const stranger = new NetlinkSocket({ protocol: NETLINK_ROUTE });
  const name = allocate(16);
  name.bytes.writeUInt32LE(12, 12);
  assert.equal(getsockname_(victim.fd, name.address, name.address + 12), 0);
  const forged = allocate(20);
  forged.bytes.fill(0);
  forged.bytes.set(new RequestBuilder(2, 0, 1).u32(0).finish());
  assert.equal(sendto_(stranger.fd, forged.address, 20, 0, name.address, 12), 20);
  assert.equal(victim.receive(), -Errno.EAGAIN);
  victim.close();
  stranger.close();
});

test("a refusal comes with the kernel's own words and the place in the request (NETLINK_EXT_ACK)", () => {
  const socket = new NetlinkSocket({ protocol: NETLINK_ROUTE, timeoutMs: 1000 });
  // RTM_GETLINK with a header that strict checking refuses: change mask in a dump.
  const request = new RequestBuilder(18, NLM_F_DUMP, 1).u32(0).u32(0).u32(1).u32(0).finish();
  assert.equal(socket.send(request), 0);
  assert.ok(socket.receive() > 0);
  const outcome = decodeMessages(socket.bytes).map(decodeOutcome)[0];
  assert.equal(outcome?.errno, Errno.EINVAL);
  assert.match(outcome?.text ?? "", /Invalid values in header/);
  socket.close();
});
