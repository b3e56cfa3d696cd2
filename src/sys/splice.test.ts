import assert from "node:assert/strict";
import { test } from "node:test";
import { loopbackPair } from "../testing/loopback-pair.ts";
import { Errno } from "./errno.ts";
import { allocate } from "./memory.ts";
import { write } from "./process.ts";
import { close, recv, send } from "./socket.ts";
import { openPipe, type PipeDescriptors, setPipeSize, splice } from "./splice.ts";

function pipeOf(): PipeDescriptors {
  const pipe = openPipe();
  assert.ok(typeof pipe !== "number");
  return pipe;
}

test("splice() moves bytes from socket to pipe to socket, and tells EAGAIN and the end apart", () => {
  const { near: source, far: from } = loopbackPair();
  const { near: to, far: sink } = loopbackPair();
  const pipe = pipeOf();
  const buffer = allocate(64);
  assert.equal(splice(from, pipe.writeFd, 1024), -Errno.EAGAIN);
  buffer.bytes.write("through a pipe");
  send(source, buffer.address, 14);
  assert.equal(splice(from, pipe.writeFd, 1024), 14);
  assert.equal(splice(pipe.readFd, to, 14), 14);
  buffer.bytes.fill(0);
  assert.equal(recv(sink, buffer.address, 64), 14);
  assert.equal(buffer.bytes.toString("latin1", 0, 14), "through a pipe");
  close(source);
  assert.equal(splice(from, pipe.writeFd, 1024), 0);
  for (const fd of [from, to, sink, pipe.readFd, pipe.writeFd]) close(fd);
});

test("setPipeSize() makes room for more; a full pipe refuses with EAGAIN", () => {
  const pipe = pipeOf();
  assert.equal(setPipeSize(pipe.writeFd, 256 * 1024), 256 * 1024);
  const buffer = allocate(512 * 1024);
  assert.equal(write(pipe.writeFd, buffer.address, 512 * 1024), 256 * 1024);
  assert.equal(write(pipe.writeFd, buffer.address, 1), -Errno.EAGAIN);
  close(pipe.readFd);
  close(pipe.writeFd);
});
