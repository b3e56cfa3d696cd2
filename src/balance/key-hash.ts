/**
 * Hashes of balancing keys (`hash: source | uri | header:…`): MurmurHash3_x86_32 (Austin Appleby, public domain), seed 0.
 * Not keyed: a client that chooses its own URIs can aim them all at one server, as it can with nginx and HAProxy.
 *
 * The result is a *signed* 32-bit integer: V8 holds it in a tagged word, where an unsigned one above 2^31 - 1 would
 * be boxed on the heap whenever it crosses a call. Consumers read it with `>>> 0`.
 * Called once per request by the proxy, for pools that balance by hash; result goes to `Selector.select`.
 */

/** Hash of bytes[start, end). */
export function hashBytes(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0;
  let at = start;
  const wordsEnd = start + ((end - start) & ~3);
  for (; at < wordsEnd; at += 4) {
    const word = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    hash ^= mixWord(word);
    hash = (Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64) | 0;
  }
  let tail = 0;
  for (let shift = 0; at < end; at++, shift += 8) tail |= bytes[at]! << shift;
  hash ^= mixWord(tail); // mixWord(0) is 0: an empty tail changes nothing
  return finalMix(hash ^ (end - start));
}

/** Hash of an IPv4 address given as a 32-bit integer (signed or unsigned). */
export function hashIpv4(address: number): number {
  return finalMix(address | 0);
}

function mixWord(word: number): number {
  const mixed = Math.imul(word, 0xcc9e2d51);
  return Math.imul((mixed << 15) | (mixed >>> 17), 0x1b873593);
}

/** MurmurHash3's finalizer: a bijection of the 32-bit integers in which every input bit moves every output bit. */
export function finalMix(hash: number): number {
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
