import assert from "node:assert/strict";
import { test } from "node:test";
import { isInTable } from "./proc-net-tcp.ts";

/** Lines as Linux 6.18 prints them. */
const TABLE = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 0200000A:0050 06 00000000:00000000 03:00001770 00000000     0        0 0 3 0000000000000000
   1: 0000000000000000FFFF00000100007F:1F90 0000000000000000FFFF0000017AA8C0:C350 04 00000000:00000000 00:00000000
   2: B80D0120000000000000000001000000:0050 B80D0120000000000000000002000000:1388 04 00000000:00000000 00:00000000
`;

test("isInTable() finds a connection in each of the three spellings, and only that one", () => {
  const subject = (localHost: string, localPort: number, remoteHost: string, remotePort: number) => ({
    isListening: false,
    localHost,
    localPort,
    remoteHost,
    remotePort,
  });
  assert.equal(isInTable(TABLE, subject("127.0.0.1", 8080, "10.0.0.2", 80)), true);
  assert.equal(isInTable(TABLE, subject("127.0.0.1", 8080, "192.168.122.1", 50_000)), true);
  assert.equal(isInTable(TABLE, subject("2001:db8::1", 80, "2001:db8::2", 5000)), true);
  assert.equal(isInTable(TABLE, subject("127.0.0.1", 8080, "10.0.0.2", 81)), false);
  assert.equal(isInTable(TABLE, subject("10.0.0.2", 80, "127.0.0.1", 8080)), false, "ends in this order");
});
