/**
 * The descriptor behind a socket or server of Node. Node has no public way to it; `_handle.fd` has been there since 0.10, on the TLS
 * wrapper, too, and net-keepalive has relied on it for as long. Used by the files of holdfast/tcp.
 */
import type net from "node:net";

/** undefined: none yet (it is looking up a name), none any more, or none in this process (a cluster worker's listener). */
export function descriptorOf(socket: net.Socket | net.Server): number | undefined {
  const { _handle: handle } = socket as { _handle?: { readonly fd?: number } | null };
  const fd = handle?.fd;
  return fd === undefined || fd < 0 ? undefined : fd;
}
