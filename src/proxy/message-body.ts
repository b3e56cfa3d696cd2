/**
 * The body of one HTTP/1.1 message as it is read and as it is written again (RFC 9112 §6, §7). Pure: bytes in a buffer,
 * offsets out. Used for both directions of an exchange. Reading strips the framing, writing puts the framing of
 * the next hop around it, so that no oddity of one peer's chunking ever reaches the other.
 */
import { ChunkedDecoder, chunkHeaderLength, writeChunkHeader } from "../http1/chunked.ts";
import { Framing } from "../http1/framing.ts";

export const BodyProgress = { MORE: 0, DONE: 1, ERROR: 2 } as const;

const CR = 13;
const LF = 10;
const ZERO = 48;

export class MessageBody {
  framing: number = Framing.NONE;
  isComplete = true;
  /** Payload bytes seen so far. */
  payloadBytes = 0;
  /** Of a Content-Length body: bytes still to come. */
  remaining = 0;
  /** After read(): the payload is bytes[dataStart, dataEnd); input was used up to `consumed`. */
  dataStart = 0;
  dataEnd = 0;
  consumed = 0;
  #decoder: ChunkedDecoder | undefined = undefined;

  begin(framing: number, contentLength: number): void {
    this.framing = framing;
    this.payloadBytes = 0;
    this.remaining = framing === Framing.LENGTH ? contentLength : 0;
    this.isComplete = framing === Framing.NONE || (framing === Framing.LENGTH && contentLength === 0);
    if (framing === Framing.CHUNKED) {
      if (this.#decoder === undefined) this.#decoder = new ChunkedDecoder();
      else this.#decoder.reset();
    }
  }

  /** The decoder of a chunked body, for its trailers and its rejection reason. */
  get decoder(): ChunkedDecoder {
    return this.#decoder!;
  }

  /** Takes the body's part of bytes[start, end). Chunked data is compacted in place. */
  read(bytes: Uint8Array, start: number, end: number): number {
    if (this.framing === Framing.LENGTH) return this.#readLength(start, end);
    if (this.framing === Framing.CHUNKED) return this.#readChunked(bytes, start, end);
    this.dataStart = start;
    this.dataEnd = this.framing === Framing.UNTIL_CLOSE ? end : start;
    this.consumed = this.dataEnd;
    this.payloadBytes += this.dataEnd - start;
    return this.isComplete ? BodyProgress.DONE : BodyProgress.MORE;
  }

  #readLength(start: number, end: number): number {
    const available = end - start;
    const taken = Math.min(available, this.remaining);
    this.dataStart = start;
    this.dataEnd = this.consumed = start + taken;
    this.remaining -= taken;
    this.payloadBytes += taken;
    if (this.remaining > 0) return BodyProgress.MORE;
    this.isComplete = true;
    return BodyProgress.DONE;
  }

  #readChunked(bytes: Uint8Array, start: number, end: number): number {
    const decoder = this.#decoder!;
    const progress = decoder.decode(bytes, start, end);
    this.dataStart = decoder.dataStart;
    this.dataEnd = decoder.dataEnd;
    this.consumed = decoder.consumed;
    this.payloadBytes += decoder.dataEnd - decoder.dataStart;
    if (progress === BodyProgress.DONE) this.isComplete = true;
    return progress;
  }
}

/** Puts `size\r\n` before the data and `\r\n` after it. Returns where the chunk starts; it ends at dataEnd + 2. */
export function frameChunk(bytes: Uint8Array, dataStart: number, dataEnd: number): number {
  const size = dataEnd - dataStart;
  const start = dataStart - chunkHeaderLength(size);
  writeChunkHeader(bytes, start, size);
  bytes[dataEnd] = CR;
  bytes[dataEnd + 1] = LF;
  return start;
}

/** Writes `0\r\n`: the trailer section, at least an empty line, must follow. Returns the new offset. */
export function writeLastChunkSize(bytes: Uint8Array, offset: number): number {
  bytes[offset] = ZERO;
  bytes[offset + 1] = CR;
  bytes[offset + 2] = LF;
  return offset + 3;
}

/** Writes the empty line that ends a chunked message without trailers. */
export function writeEmptyTrailers(bytes: Uint8Array, offset: number): number {
  bytes[offset] = CR;
  bytes[offset + 1] = LF;
  return offset + 2;
}
