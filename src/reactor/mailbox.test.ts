import assert from "node:assert/strict";
import test from "node:test";
import { close } from "../sys/socket.ts";
import { loopbackPair } from "../testing/loopback-pair.ts";
import { Mailbox } from "./mailbox.ts";
import { Reactor } from "./reactor.ts";

test("a supervisor that reads nothing: what the next message replaces is not queued beyond the limit, the rest is", () => {
  const { near, far } = loopbackPair();
  const reactor = new Reactor();
  const mailbox = new Mailbox<never, { type: string; text?: string }>(near, reactor, {
    handleMessage: () => {},
    handleSupervisorGone: () => assert.fail("it is there, it only does not read"),
  });
  const facts = { type: "facts", text: "x".repeat(10_000) };
  let refused = 0;
  for (let count = 0; count < 2000; count++) if (!mailbox.postUnlessBehind(facts, 256 * 1024)) refused++;
  assert.ok(refused > 0);
  const before = mailbox.backlogBytes;
  assert.ok(before > 256 * 1024 && before < 256 * 1024 + 11_000, `${before} bytes`);
  mailbox.post({ type: "transition" });
  assert.ok(mailbox.backlogBytes > before);
  reactor.close(near);
  close(far);
});
