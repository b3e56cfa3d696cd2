/**
 * Who listens on a TCP port, for the text of "address already in use": proc(5) /proc/net/tcp gives the socket's inode,
 * /proc/PID/fd its owner. Called by `listening-sockets.ts` when bind(2) failed; sees other users' processes only as root.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

const LISTEN_STATE = "0A";
const LOCAL_ADDRESS = 1;
const STATE = 3;
const INODE = 9;

/** `nginx (pid 123)`, or undefined where it cannot be seen. */
export function describePortHolder(port: number): string | undefined {
  const inodes = new Set([
    ...listeningInodes(readText("/proc/net/tcp"), port),
    ...listeningInodes(readText("/proc/net/tcp6"), port),
  ]);
  if (inodes.size === 0) {
    return undefined;
  }
  for (const pid of listDirectory("/proc")) {
    if (/^\d+$/.test(pid) && listDirectory(`/proc/${pid}/fd`).some((fd) => isOneOf(inodes, pid, fd))) {
      const name = readText(`/proc/${pid}/comm`).trim();
      return `${name === "" ? "a process" : name} (pid ${pid})`;
    }
  }
  return undefined;
}

/** Inodes of the sockets that listen on the port, from the text of /proc/net/tcp or tcp6. */
export function listeningInodes(table: string, port: number): string[] {
  const portHex = port.toString(16).toUpperCase().padStart(4, "0");
  return table
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter((columns) => columns[STATE] === LISTEN_STATE && columns[LOCAL_ADDRESS]?.endsWith(`:${portHex}`))
    .map((columns) => columns[INODE] ?? "");
}

function isOneOf(inodes: ReadonlySet<string>, pid: string, fd: string): boolean {
  try {
    const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1];
    return inode !== undefined && inodes.has(inode);
  } catch {
    return false;
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function listDirectory(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
