/**
 * bpf(2), as much as an eBPF program at a cgroup needs: assemble, load, attach, find again, detach. Instruction encoding: RFC 9669;
 * union bpf_attr and the numbers: include/uapi/linux/bpf.h (the layout is append-only). Used by doctor/new-sockets.ts.
 */
import { Errno, SyscallError } from "./errno.ts";
import { bindFunction, errno } from "./libc.ts";
import { allocate } from "./memory.ts";

const syscall_ = bindFunction("long syscall(long, long, uintptr_t, long)");

const SYS_BPF = process.arch === "arm64" ? 280 : 321;
const ATTRIBUTE_LENGTH = 128;

const BPF_PROG_LOAD = 5;
const BPF_PROG_ATTACH = 8;
const BPF_PROG_DETACH = 9;
const BPF_PROG_GET_FD_BY_ID = 13;
const BPF_OBJ_GET_INFO_BY_FD = 15;
const BPF_PROG_QUERY = 16;

const BPF_PROG_TYPE_SOCK_OPS = 13;
const BPF_CGROUP_SOCK_OPS = 3;
/** Beside the programs of others and of child cgroups. */
const BPF_F_ALLOW_MULTI = 2;

/** In the SyscallError of attachSockOps(). */
export const BPF_ATTACH_NAME = "BPF_PROG_ATTACH";

const LOG_LENGTH = 65536;
const PROGRAM_IDS_MAX = 64;

/** One instruction: 8 bytes. */
export interface Instruction {
  readonly code: number;
  readonly target?: number;
  readonly source?: number;
  readonly offset?: number;
  readonly immediate?: number;
}

/** Instruction codes (RFC 9669 §3–5): class | operation | source. */
export const Bpf = {
  /** target = source */
  MOV_REGISTER: 0xbf,
  /** target = immediate, sign-extended */
  MOV_IMMEDIATE: 0xb7,
  ADD_IMMEDIATE: 0x07,
  /** target = *(u32 *)(source + offset) */
  LOAD_WORD: 0x61,
  /** *(u32 *)(target + offset) = immediate */
  STORE_WORD_IMMEDIATE: 0x62,
  /** if (target == immediate) jump */
  JUMP_EQUAL: 0x15,
  JUMP_NOT_EQUAL: 0x55,
  CALL: 0x85,
  EXIT: 0x95,
} as const;

export function assemble(program: readonly Instruction[]): Buffer {
  const bytes = Buffer.alloc(program.length * 8);
  for (const [index, { code, target = 0, source = 0, offset = 0, immediate = 0 }] of program.entries()) {
    bytes.writeUInt8(code, index * 8);
    bytes.writeUInt8((source << 4) | target, index * 8 + 1);
    bytes.writeInt16LE(offset, index * 8 + 2);
    bytes.writeInt32LE(immediate, index * 8 + 4);
  }
  return bytes;
}

const attribute = allocate(ATTRIBUTE_LENGTH);

function bpf(command: number, fill: (bytes: Buffer) => void): number {
  attribute.bytes.fill(0);
  fill(attribute.bytes);
  const result = syscall_(SYS_BPF, command, attribute.address, ATTRIBUTE_LENGTH);
  return result === -1 ? -errno() : result;
}

function checked(command: string, result: number): number {
  if (result < 0) throw new SyscallError("bpf", -result, command);
  return result;
}

/** Loads a sock_ops program; the descriptor. Throws SyscallError; what the verifier says is in the message. */
export function loadSockOps(program: readonly Instruction[], name: string, license: string): number {
  const code = allocate(program.length * 8);
  assemble(program).copy(code.bytes);
  const licenseText = allocate(license.length + 1);
  licenseText.bytes.fill(0);
  licenseText.bytes.write(license, "latin1");
  const log = allocate(LOG_LENGTH);
  log.bytes.fill(0);
  const load = (isVerbose: boolean): number =>
    bpf(BPF_PROG_LOAD, (bytes) => {
      bytes.writeUInt32LE(BPF_PROG_TYPE_SOCK_OPS, 0);
      bytes.writeUInt32LE(program.length, 4);
      bytes.writeBigUInt64LE(BigInt(code.address), 8);
      bytes.writeBigUInt64LE(BigInt(licenseText.address), 16);
      if (isVerbose) {
        bytes.writeUInt32LE(1, 24);
        bytes.writeUInt32LE(LOG_LENGTH, 28);
        bytes.writeBigUInt64LE(BigInt(log.address), 32);
      }
      bytes.write(name.slice(0, 15), 48, "latin1");
      bytes.writeUInt32LE(BPF_CGROUP_SOCK_OPS, 68);
    });
  const fd = load(false);
  if (fd >= 0 || fd === -Errno.EPERM || fd === -Errno.ENOSYS) return checked("BPF_PROG_LOAD", fd);
  const again = load(true);
  if (again >= 0) return again;
  const text = log.bytes.toString("latin1", 0, Math.max(0, log.bytes.indexOf(0))).trim();
  throw new SyscallError("bpf", -again, `BPF_PROG_LOAD (${text.split("\n").slice(-2).join("; ")})`);
}

/** The kernel's number of a loaded program: unique until the next boot. */
export function programId(programFd: number): number {
  const info = allocate(256);
  info.bytes.fill(0);
  checked(
    "BPF_OBJ_GET_INFO_BY_FD",
    bpf(BPF_OBJ_GET_INFO_BY_FD, (bytes) => {
      bytes.writeUInt32LE(programFd, 0);
      bytes.writeUInt32LE(80, 4);
      bytes.writeBigUInt64LE(BigInt(info.address), 8);
    }),
  );
  return info.bytes.readUInt32LE(4);
}

/** A descriptor of the program, or -errno: ENOENT when it is gone. */
export function programById(id: number): number {
  return bpf(BPF_PROG_GET_FD_BY_ID, (bytes) => void bytes.writeUInt32LE(id, 0));
}

/** Attached until it is detached or the cgroup is removed; no process has to stay for it. Throws SyscallError. */
export function attachSockOps(cgroupFd: number, programFd: number, flags = BPF_F_ALLOW_MULTI): void {
  const result = bpf(BPF_PROG_ATTACH, (bytes) => {
    writeAttachment(bytes, cgroupFd, programFd);
    bytes.writeUInt32LE(flags, 12);
  });
  checked(BPF_ATTACH_NAME, result);
}

/** 0 or -errno: ENOENT when it is not attached there. */
export function detachSockOps(cgroupFd: number, programFd: number): number {
  return bpf(BPF_PROG_DETACH, (bytes) => writeAttachment(bytes, cgroupFd, programFd));
}

function writeAttachment(bytes: Buffer, cgroupFd: number, programFd: number): void {
  bytes.writeUInt32LE(cgroupFd, 0);
  bytes.writeUInt32LE(programFd, 4);
  bytes.writeUInt32LE(BPF_CGROUP_SOCK_OPS, 8);
}

/** The sock_ops programs attached to this very cgroup, and whether they bear others beside them. Throws SyscallError. */
export function attachedSockOps(cgroupFd: number): {
  readonly ids: readonly number[];
  readonly isShared: boolean;
} {
  const ids = allocate(PROGRAM_IDS_MAX * 4);
  ids.bytes.fill(0);
  checked(
    "BPF_PROG_QUERY",
    bpf(BPF_PROG_QUERY, (bytes) => {
      bytes.writeUInt32LE(cgroupFd, 0);
      bytes.writeUInt32LE(BPF_CGROUP_SOCK_OPS, 4);
      bytes.writeBigUInt64LE(BigInt(ids.address), 16);
      bytes.writeUInt32LE(PROGRAM_IDS_MAX, 24);
    }),
  );
  const flags = attribute.bytes.readUInt32LE(12);
  const count = attribute.bytes.readUInt32LE(24);
  return {
    ids: Array.from({ length: count }, (_, index) => ids.bytes.readUInt32LE(index * 4)),
    isShared: (flags & BPF_F_ALLOW_MULTI) !== 0,
  };
}
