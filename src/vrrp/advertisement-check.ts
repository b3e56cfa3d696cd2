/**
 * Whether a peer's advertisement fits what is configured here (RFC 9568 §7.1, RFC 3768 §7.1): one entry per difference, those that
 * forbid to use it and those that are only worth a warning. Pure. Called by driver.ts after decoding.
 */
import type { Advertisement, ChecksumKind } from "./packet.ts";

export interface ExpectedAdvertisement {
  readonly version: 2 | 3;
  readonly advertIntervalMs: number;
  readonly authPass: string | undefined;
  /** Hosts, without prefix length, in their canonical spelling. */
  readonly addresses: readonly string[];
  readonly priority?: number;
  /** What is sent here; undefined: no choice (version 2, IPv6). */
  readonly checksum?: ChecksumKind | undefined;
}

/** Metric labels and log fields, with what they mean. */
export const MISMATCHES = {
  "version-mismatch": "the peer speaks the other version",
  "auth-mismatch": "the peer's password is another, or missing, or not expected here",
  "interval-mismatch":
    "the peer's interval is another: discarded in version 2, in version 3 a backup takes it over",
  "address-list-mismatch": "the peer advertises other addresses",
  "checksum-mismatch": "the peer makes the checksum in the other way: it may not understand this router",
  "owner-conflict": "another router says that it owns the addresses (priority 255), as this one does",
} as const;
export type MismatchReason = keyof typeof MISMATCHES;

export interface Mismatch {
  readonly reason: MismatchReason;
  /** The advertisement must not be used. */
  readonly isFatal: boolean;
  /** One sentence with both values; never a password. */
  readonly detail: string;
}

/** Most serious first. */
export function advertisementMismatches(
  expected: ExpectedAdvertisement,
  received: Advertisement,
): readonly Mismatch[] {
  return [
    versionMismatch(expected, received),
    authMismatch(expected, received),
    intervalMismatch(expected, received),
    addressMismatch(expected, received),
    checksumMismatch(expected, received),
    ownerConflict(expected, received),
  ].filter((mismatch) => mismatch !== undefined);
}

function versionMismatch(expected: ExpectedAdvertisement, { version }: Advertisement): Mismatch | undefined {
  if (version === expected.version) return undefined;
  const detail = `it speaks version ${version}, here is version ${expected.version}: set the same \`version\` on both`;
  return { reason: "version-mismatch", isFatal: true, detail };
}

function authMismatch(expected: ExpectedAdvertisement, received: Advertisement): Mismatch | undefined {
  if (received.version === 3 || expected.version === 3) return undefined;
  const wanted = expected.authPass?.slice(0, 8);
  if (wanted === received.authPass) return undefined;
  const detail =
    wanted === undefined
      ? "it sends a password, none is set here"
      : received.authPass === undefined
        ? "it sends no password, one is set here"
        : "it sends another password than the one set here";
  return { reason: "auth-mismatch", isFatal: true, detail };
}

function intervalMismatch(expected: ExpectedAdvertisement, received: Advertisement): Mismatch | undefined {
  if (received.intervalMs === expected.advertIntervalMs) return undefined;
  const isFatal = received.version === 2;
  const effect = isFatal ? "version 2 wants them equal" : "a backup takes over the active router's";
  const detail = `it advertises every ${received.intervalMs} ms, here every ${expected.advertIntervalMs} ms is set; ${effect}`;
  return { reason: "interval-mismatch", isFatal, detail };
}

/** Order does not count. Advisory: a list that is being changed on one node after the other differs for a while. */
function addressMismatch(expected: ExpectedAdvertisement, received: Advertisement): Mismatch | undefined {
  const wanted = new Set(expected.addresses);
  const seen = new Set(received.addresses);
  const missing = expected.addresses.filter((address) => !seen.has(address));
  const foreign = received.addresses.filter((address) => !wanted.has(address));
  if (missing.length === 0 && foreign.length === 0) return undefined;
  const parts = [
    ...(foreign.length > 0 ? [`it has ${foreign.join(", ")}, which is not set here`] : []),
    ...(missing.length > 0 ? [`it lacks ${missing.join(", ")}`] : []),
    ...(missing.length === expected.addresses.length
      ? [
          "no address in common: other routers of this segment may be using this id, then choose another `id` here",
        ]
      : []),
  ];
  return { reason: "address-list-mismatch", isFatal: false, detail: parts.join("; ") };
}

function checksumMismatch(expected: ExpectedAdvertisement, received: Advertisement): Mismatch | undefined {
  if (expected.checksum === undefined || received.version === 2 || expected.version === 2) return undefined;
  if (received.checksum === expected.checksum) return undefined;
  const [theirs, ours] = [settingOf(received.checksum), settingOf(expected.checksum)];
  const detail = `its checksum is of the kind ${theirs}, this router sends ${ours}: set \`checksum: ${theirs}\` if it does not hear this router`;
  return { reason: "checksum-mismatch", isFatal: false, detail };
}

function settingOf(kind: ChecksumKind): string {
  return kind === "message" ? "rfc9568" : "pseudo-header";
}

/** RFC 9568 erratum 8298: an owner that hears advertisements logs it, and uses them. */
function ownerConflict(expected: ExpectedAdvertisement, received: Advertisement): Mismatch | undefined {
  if (expected.priority !== 255 || received.priority !== 255) return undefined;
  const detail = "it advertises priority 255, as this router does: only one can own the addresses";
  return { reason: "owner-conflict", isFatal: false, detail };
}
