import assert from "node:assert/strict";
import { test } from "node:test";
import { Reactor } from "../reactor/reactor.ts";
import { encodeSocketAddress } from "../sys/sockaddr.ts";
import { AF_INET, bind, listen, openStreamSocket } from "../sys/socket.ts";
import { Acceptor } from "./acceptor.ts";

test("Acceptor.resume() does nothing after stop(): the descriptor is closed", () => {
  const reactor = new Reactor();
  const fd = openStreamSocket(AF_INET);
  bind(fd, encodeSocketAddress({ family: "inet", host: "127.0.0.1", port: 0 }));
  listen(fd, 1);
  const acceptor = new Acceptor(fd, {
    server: { reactor, handleDescriptorsExhausted: () => {} },
    adopt: () => {},
  });
  acceptor.start();
  acceptor.stop();
  // The last connection of another socket of the listener makes it full, and is refused at once.
  acceptor.pause();
  acceptor.resume();
  assert.equal(reactor.descriptorCount, 0);
});
