/**
 * The one receive buffer of a worker, with room around it. Every read lands in the same 64 KiB, so they stay in the
 * processor's cache, and an idle connection owns no buffer at all (nginx frees them, HAProxy releases them: same idea).
 *
 *     | headroom | receive ………………………………………………… | tail | scratch | request slots … |
 *     0          RECEIVE_START
 *
 * A message is rewritten in place: the new head is built in the scratch region and moved to just before the body, a chunk
 * header goes before its data (headroom), a last chunk and trailers after it (tail). One send(2) then takes it all.
 *
 * A request slot holds one exchange's head (and small body) until its response begins, so that it can be sent again. The slots
 * are part of the same array so that the writers of http1/ see one array only; untouched slots cost no memory.
 *
 * Except for the slots, the arena is free at the start of every event and every callback into another connection: whoever needs bytes for longer
 * copies them (`hold`).
 */
import { allocateLow, type NativeBuffer } from "../sys/memory.ts";

const HEADROOM_BYTES = 8 * 1024;
/** Bytes asked for by one recv(2). */
export const READ_BYTES = 64 * 1024;
/** A held beginning (a head that arrived in pieces) plus one read. */
const RECEIVE_BYTES = 2 * READ_BYTES;
const TAIL_BYTES = 16 * 1024;
export const SCRATCH_BYTES = 80 * 1024;

export const RECEIVE_START = HEADROOM_BYTES;
export const SCRATCH_START = RECEIVE_START + RECEIVE_BYTES + TAIL_BYTES;

/**
 * 35 cache lines: an odd number, so that the beginnings of the slots spread over all sets of the first-level cache instead
 * of meeting in one, as they would at a distance of 2 or 4 KiB.
 */
export const REQUEST_SLOT_BYTES = 35 * 64;
export const REQUEST_SLOT_COUNT = 2048;
export const REQUEST_SLOTS_START = SCRATCH_START + SCRATCH_BYTES;

/** A response head larger than this is refused (node 16k, nginx 4k|8k, HAProxy 16k). */
export const RESPONSE_HEAD_BYTES_MAX = 32 * 1024;

export type Arena = NativeBuffer;

export function createArena(): Arena {
  return allocateLow(REQUEST_SLOTS_START + REQUEST_SLOT_COUNT * REQUEST_SLOT_BYTES);
}
