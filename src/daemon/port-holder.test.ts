/** Tests of port-holder.ts, on a table in the format of proc(5) and on a real socket. */
import assert from "node:assert/strict";
import { createServer } from "node:net";
import { test } from "node:test";
import { describePortHolder, listeningInodes } from "./port-holder.ts";

const TABLE = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0
   1: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 100 0 0 10 0
   2: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 0 100 0 0 10 0
`;

test("listeningInodes() finds listening sockets of the port only (proc(5))", () => {
  assert.deepEqual(listeningInodes(TABLE, 8080), ["4711"]);
  assert.deepEqual(listeningInodes(TABLE, 80), ["4713"]);
  assert.deepEqual(listeningInodes("", 80), []);
});

test("describePortHolder() names the process that listens, and nobody on a free port", async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  assert.match(describePortHolder(port) ?? "", new RegExp(`\\(pid ${process.pid}\\)$`));
  await new Promise((resolve) => server.close(resolve));
  assert.equal(describePortHolder(port), undefined);
});
