/**
 * The Internet checksum (RFC 1071): the ones' complement of the ones' complement sum of 16-bit words. Pure. A sum is kept as a
 * plain number, unfolded: 2^37 words fit before a double loses a bit. Sums of several parts are added; every part but the last
 * has an even length.
 */

/** Adds the words of `bytes[start, end)` to a sum; an odd last byte counts as the upper half of a word. */
export function addToSum(sum: number, bytes: Uint8Array, start = 0, end = bytes.length): number {
  let index = start;
  for (; index + 1 < end; index += 2) sum += bytes[index]! * 256 + bytes[index + 1]!;
  return index < end ? sum + bytes[index]! * 256 : sum;
}

/** The 16 bits that go into the packet. */
export function foldSum(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = (folded % 0x10000) + Math.floor(folded / 0x10000);
  return ~folded & 0xffff;
}

/** Checksum of a message whose checksum field is zero; 0 over a message that carries a correct one. `seed`: sum of a pseudo-header. */
export function internetChecksum(bytes: Uint8Array, seed = 0): number {
  return foldSum(addToSum(seed, bytes));
}

/**
 * Sum of the pseudo-header: IPv4 (RFC 793 §3.1: addresses, zero, protocol, 16-bit length) or IPv6 (RFC 8200 §8.1: addresses,
 * 32-bit length, zeros, next header). Addresses are four or sixteen bytes; both families sum alike.
 */
export function pseudoHeaderSum(
  source: Uint8Array,
  destination: Uint8Array,
  protocol: number,
  length: number,
): number {
  const addresses = addToSum(addToSum(0, source), destination);
  return addresses + protocol + (length & 0xffff) + Math.floor(length / 0x10000);
}
