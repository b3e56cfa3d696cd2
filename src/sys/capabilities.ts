/**
 * capabilities(7): which this process holds, keeping some of them when it becomes an ordinary user. capget(2), prctl(2). Capabilities
 * belong to a thread: these calls act on the one that runs JavaScript, which is the one that opens sockets through sys/.
 */
import { check } from "./errno.ts";
import { bindFunction } from "./libc.ts";
import { allocate } from "./memory.ts";

const capget_ = bindFunction("int capget(uintptr_t, uintptr_t)");
const capset_ = bindFunction("int capset(uintptr_t, uintptr_t)");
const prctl_ = bindFunction("int prctl(int, ulong, ulong, ulong, ulong)");

/** Bit numbers: include/uapi/linux/capability.h. */
const NUMBERS = {
  CAP_CHOWN: 0,
  CAP_KILL: 5,
  CAP_SETGID: 6,
  CAP_SETUID: 7,
  CAP_NET_BIND_SERVICE: 10,
  CAP_NET_ADMIN: 12,
  CAP_NET_RAW: 13,
  CAP_IPC_LOCK: 14,
  CAP_SYS_PTRACE: 19,
  CAP_SYS_ADMIN: 21,
  CAP_SYS_NICE: 23,
  CAP_SYS_RESOURCE: 24,
  CAP_PERFMON: 38,
  CAP_BPF: 39,
} as const;
export type Capability = keyof typeof NUMBERS;
const NAMES = Object.keys(NUMBERS) as Capability[];

const PR_SET_KEEPCAPS = 8;
const VERSION_3 = 0x20080522;
/** struct __user_cap_data_struct, twice (bits 0–31, 32–63): effective, permitted, inheritable. */
const EFFECTIVE = 0;
const PERMITTED = 4;
const UPPER = 12;
const UPPER_SHIFT = 32n;

const header = allocate(8);
const data = allocate(24);

function load(): void {
  header.bytes.writeUInt32LE(VERSION_3, 0);
  header.bytes.writeInt32LE(0, 4);
  check("capget", capget_(header.address, data.address));
}

/** Those in force now (the effective set), of the ones this program knows by name. */
export function heldCapabilities(): ReadonlySet<Capability> {
  load();
  return namesOf(readSet(EFFECTIVE));
}

function readSet(at: number): bigint {
  const upper = BigInt(data.bytes.readUInt32LE(UPPER + at));
  return (upper << UPPER_SHIFT) | BigInt(data.bytes.readUInt32LE(at));
}

function writeSet(at: number, bits: bigint): void {
  data.bytes.writeUInt32LE(Number(bits & 0xffff_ffffn), at);
  data.bytes.writeUInt32LE(Number(bits >> UPPER_SHIFT), UPPER + at);
}

function bitOf(name: Capability): bigint {
  return 1n << BigInt(NUMBERS[name]);
}

function namesOf(bits: bigint): ReadonlySet<Capability> {
  return new Set(NAMES.filter((name) => (bits & bitOf(name)) !== 0n));
}

/** PR_SET_KEEPCAPS: the next setuid(2) leaves the permitted set alone; restrictCapabilities() then brings some back into force. */
export function keepCapabilitiesAcrossSetuid(): void {
  check("prctl", prctl_(PR_SET_KEEPCAPS, 1, 0, 0, 0), "PR_SET_KEEPCAPS");
}

/** Gives up every capability but these, for good, and puts those of them that are permitted into force. Returns what is held then. */
export function restrictCapabilities(names: readonly Capability[]): ReadonlySet<Capability> {
  load();
  const wanted = names.reduce((bits, name) => bits | bitOf(name), 0n);
  const kept = readSet(PERMITTED) & wanted;
  data.bytes.fill(0);
  writeSet(EFFECTIVE, kept);
  writeSet(PERMITTED, kept);
  check("capset", capset_(header.address, data.address));
  return namesOf(kept);
}
