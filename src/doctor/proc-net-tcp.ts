/**
 * Whether a connection is still in the kernel's table, after its process has closed the descriptor: /proc/PID/net/tcp and tcp6, the one
 * view into another network namespace that needs no setns(2). Pure. A connection that was closed in the ordinary way lives on as
 * FIN_WAIT, LAST_ACK or TIME_WAIT; one that a RST ended is gone at once. Called by prober.ts.
 */
import { encodeIp } from "../ip/address.ts";
import type { SelectorSubject } from "./selector.ts";

/** `table`: the text of both files. */
export function isInTable(table: string, subject: SelectorSubject): boolean {
  const ends = [
    [subject.localHost, subject.localPort],
    [subject.remoteHost, subject.remotePort],
  ] as const;
  const pair = (isMapped: boolean): string =>
    ` ${ends.map(([host, port]) => `${hexAddress(host, isMapped)}:${hex(port, 4)}`).join(" ")} `;
  return table.includes(pair(false)) || (!subject.localHost.includes(":") && table.includes(pair(true)));
}

/** Words of 32 bits as the host reads them from memory: little-endian (get_tcp4_sock(), net/ipv4/tcp_ipv4.c: %08X). */
function hexAddress(host: string, isMapped: boolean): string {
  const bytes = encodeIp(host);
  let text = "";
  for (let word = 0; word < bytes.length; word += 4)
    text += [3, 2, 1, 0].map((index) => hex(bytes[word + index]!, 2)).join("");
  return isMapped ? `0000000000000000FFFF0000${text}` : text;
}

function hex(number: number, digits: number): string {
  return number.toString(16).toUpperCase().padStart(digits, "0");
}
