/** CRC-32C (Castagnoli; RFC 3720 §12.1, polynomial 0x1EDC6F41 reflected): the checksum a PROXY header may carry. Pure. */

const REFLECTED_POLYNOMIAL = 0x82f63b78;

const TABLE = Int32Array.from({ length: 256 }, (_, octet) => {
  let remainder = octet;
  for (let bit = 0; bit < 8; bit++)
    remainder = (remainder >>> 1) ^ (remainder & 1 ? REFLECTED_POLYNOMIAL : 0);
  return remainder;
});

/** Unsigned checksum of bytes[start, end), the four octets from `zeroAt` on taken for zeros. */
export function crc32c(bytes: Uint8Array, start: number, end: number, zeroAt = -4): number {
  let crc = -1;
  for (let at = start; at < end; at++) {
    const octet = at >= zeroAt && at < zeroAt + 4 ? 0 : bytes[at]!;
    crc = (crc >>> 8) ^ TABLE[(crc ^ octet) & 255]!;
  }
  return ~crc >>> 0;
}
