/**
 * The format of every netlink(7) family: struct nlmsghdr, attributes (include/uapi/linux/netlink.h, lib/nlattr.c), multi-part answers,
 * errors with the kernel's own words (NETLINK_EXT_ACK). Pure; knows nothing of routes or sockets, so that rtnetlink and sock_diag(7)
 * share it. Integers are in the host's byte order: little-endian on x86-64 and arm64.
 *
 *   nlmsghdr:  0 length (u32) | 4 type (u16) | 6 flags (u16) | 8 sequence (u32) | 12 port id (u32) | 16 payload …
 *   nlattr:    0 length with this header (u16) | 2 type (u16) | 4 value, padded to four bytes
 *
 * What is received never throws: a length that cannot be right ends the list.
 */

export const NLMSG_HEADER_LENGTH = 16;
const ATTRIBUTE_HEADER_LENGTH = 4;

/** Message types below NLMSG_MIN_TYPE (16) mean the same in every family. */
export const NLMSG_NOOP = 1;
export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;

export const NLM_F_REQUEST = 0x1;
export const NLM_F_MULTI = 0x2;
export const NLM_F_ACK = 0x4;
/** A dump that was inconsistent: something changed while it was made. */
export const NLM_F_DUMP_INTR = 0x10;
/** Of GET requests: NLM_F_ROOT | NLM_F_MATCH. */
export const NLM_F_DUMP = 0x300;
/** Of NEW requests. */
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
/** Of answers of type NLMSG_ERROR: the request is not repeated in it; attributes follow. */
const NLM_F_CAPPED = 0x100;
const NLM_F_ACK_TLVS = 0x200;

/** Upper two bits of an attribute's type: nested, network byte order. */
const NLA_F_NESTED = 0x8000;
const NLA_TYPE_MASK = 0x3fff;
const NLMSGERR_ATTR_MSG = 1;
const NLMSGERR_ATTR_OFFS = 2;

export interface NetlinkMessage {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  readonly portId: number;
  /** A view of the received bytes. */
  readonly payload: Uint8Array;
}

/** By type; of an attribute that occurs twice the last one counts, as in the kernel. Values are views. */
export type Attributes = ReadonlyMap<number, Uint8Array>;

export function align4(length: number): number {
  return (length + 3) & ~3;
}

/** The messages of one datagram, up to the first that is not whole. */
export function decodeMessages(bytes: Uint8Array): NetlinkMessage[] {
  const messages: NetlinkMessage[] = [];
  const view = viewOfBytes(bytes);
  for (let offset = 0; offset + NLMSG_HEADER_LENGTH <= bytes.length; ) {
    const length = view.getUint32(offset, true);
    if (length < NLMSG_HEADER_LENGTH || offset + length > bytes.length) break;
    messages.push({
      type: view.getUint16(offset + 4, true),
      flags: view.getUint16(offset + 6, true),
      sequence: view.getUint32(offset + 8, true),
      portId: view.getUint32(offset + 12, true),
      payload: bytes.subarray(offset + NLMSG_HEADER_LENGTH, offset + length),
    });
    offset += Math.ceil(length / 4) * 4;
  }
  return messages;
}

/** The attributes from `start` on (behind the family's fixed header), or inside a nested one. */
export function decodeAttributes(bytes: Uint8Array, start = 0): Attributes {
  const attributes = new Map<number, Uint8Array>();
  const view = viewOfBytes(bytes);
  for (let offset = start; offset + ATTRIBUTE_HEADER_LENGTH <= bytes.length; ) {
    const length = view.getUint16(offset, true);
    if (length < ATTRIBUTE_HEADER_LENGTH || offset + length > bytes.length) break;
    const type = view.getUint16(offset + 2, true) & NLA_TYPE_MASK;
    attributes.set(type, bytes.subarray(offset + ATTRIBUTE_HEADER_LENGTH, offset + length));
    offset += align4(length);
  }
  return attributes;
}

/** undefined where the attribute is missing or too short, for all of these. */
export function readU8(attributes: Attributes, type: number): number | undefined {
  return attributes.get(type)?.[0];
}

export function readU32(attributes: Attributes, type: number, offset = 0): number | undefined {
  const value = attributes.get(type);
  if (value === undefined || value.length < offset + 4) return undefined;
  return viewOfBytes(value).getUint32(offset, true);
}

/** Text up to its NUL. */
export function readText(attributes: Attributes, type: number): string | undefined {
  const value = attributes.get(type);
  if (value === undefined) return undefined;
  const end = value.indexOf(0);
  return decodeText(end === -1 ? value : value.subarray(0, end));
}

/** Interface names and the kernel's sentences are ASCII; any other byte is shown as Latin-1 and cannot fail. */
function decodeText(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes.subarray(0, 1024));
}

/** The outcome of a request: NLMSG_ERROR (errno 0 is the acknowledgement) or the end of a dump. */
export interface NetlinkOutcome {
  /** 0 or a positive error number. */
  readonly errno: number;
  /** The kernel's own sentence (NETLINK_EXT_ACK), "" where it says nothing. */
  readonly text: string;
  /** Offset in the request of the attribute it complains about. */
  readonly offset: number | undefined;
}

/** undefined where the message is neither NLMSG_ERROR nor NLMSG_DONE, or is too short to say. */
export function decodeOutcome(message: NetlinkMessage): NetlinkOutcome | undefined {
  if (message.type !== NLMSG_ERROR && message.type !== NLMSG_DONE) return undefined;
  const { payload, flags } = message;
  if (payload.length < 4)
    return message.type === NLMSG_DONE ? { errno: 0, text: "", offset: undefined } : undefined;
  const view = viewOfBytes(payload);
  const errno = Math.max(0, -view.getInt32(0, true));
  if ((flags & NLM_F_ACK_TLVS) === 0) return { errno, text: "", offset: undefined };
  const attributes = decodeAttributes(payload, startOfOutcomeAttributes(message, view));
  return {
    errno,
    text: readText(attributes, NLMSGERR_ATTR_MSG) ?? "",
    offset: readU32(attributes, NLMSGERR_ATTR_OFFS),
  };
}

/** Behind the error number comes the request's header, and, unless capped, the rest of the request. */
function startOfOutcomeAttributes(message: NetlinkMessage, view: DataView): number {
  if (message.type === NLMSG_DONE) return 4;
  if ((message.flags & NLM_F_CAPPED) !== 0 || message.payload.length < 8) return 4 + NLMSG_HEADER_LENGTH;
  return 4 + Math.ceil(view.getUint32(4, true) / 4) * 4;
}

/** Builds one request: fixed header fields first, then attributes. Grows as needed. */
export class RequestBuilder {
  #bytes = new Uint8Array(256);
  #view = new DataView(this.#bytes.buffer);
  #length = NLMSG_HEADER_LENGTH;

  /** NLM_F_REQUEST is added to the flags. */
  constructor(type: number, flags: number, sequence: number) {
    this.#view.setUint16(4, type, true);
    this.#view.setUint16(6, flags | NLM_F_REQUEST, true);
    this.#view.setUint32(8, sequence, true);
  }

  u8(value: number): this {
    this.#bytes[this.#grow(1)] = value;
    return this;
  }

  u16(value: number): this {
    const offset = this.#grow(2);
    this.#view.setUint16(offset, value, true);
    return this;
  }

  u32(value: number): this {
    const offset = this.#grow(4);
    this.#view.setUint32(offset, value, true);
    return this;
  }

  bytes(value: Uint8Array): this {
    const offset = this.#grow(value.length);
    this.#bytes.set(value, offset);
    return this;
  }

  attribute(type: number, value: Uint8Array): this {
    this.#align();
    return this.u16(ATTRIBUTE_HEADER_LENGTH + value.length)
      .u16(type)
      .bytes(value);
  }

  attributeU8(type: number, value: number): this {
    return this.attribute(type, Uint8Array.of(value));
  }

  attributeU32(type: number, value: number): this {
    this.#align();
    return this.u16(8).u16(type).u32(value);
  }

  /** With the NUL that the kernel expects (NLA_NUL_STRING). */
  attributeText(type: number, value: string): this {
    return this.attribute(type, Uint8Array.from([...value].map((it) => it.charCodeAt(0)).concat(0)));
  }

  /** An attribute whose value is what `fill` adds. */
  nested(type: number, fill: () => void): this {
    this.#align();
    const start = this.#length;
    this.u16(0).u16(type | NLA_F_NESTED);
    fill();
    this.#view.setUint16(start, this.#length - start, true);
    return this;
  }

  /** The finished message: a copy. */
  finish(): Uint8Array {
    this.#align();
    this.#view.setUint32(0, this.#length, true);
    return this.#bytes.slice(0, this.#length);
  }

  #align(): void {
    this.#grow(align4(this.#length) - this.#length);
  }

  #grow(count: number): number {
    const offset = this.#length;
    this.#length += count;
    if (this.#length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.#length, this.#bytes.length * 2));
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return offset;
  }
}

function viewOfBytes(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
