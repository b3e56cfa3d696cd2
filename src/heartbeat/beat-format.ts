/**
 * How a beat looks on the wire, for both ends: the library that sends it (sender.ts) and the gateway that receives it
 * (daemon/heartbeat-receiver.ts). Pure. Either an HTTP request or one datagram:
 *
 *     PUT /heartbeat/POOL/SERVER        body: empty, or {"progress": NUMBER}
 *     holdfast-beat 1 POOL SERVER [NUMBER]
 *
 * 1 is the version of the format. Names are percent-encoded where they hold a space, a slash or a percent sign. Answers: 204 and
 * none; for a beat that does not count 4xx with a text, and `holdfast-beat-refused TEXT`.
 */

export interface Beat {
  readonly pool: string;
  readonly server: string;
  /** The application's progress counter. */
  readonly progress: number | undefined;
}

export const BEAT_REFUSED = "holdfast-beat-refused";
/** A beat's body or datagram is refused when it is longer. */
export const BEAT_BYTES_MAX = 4096;

const PATH = /^\/heartbeat\/([^/?#]+)\/([^/?#]+)$/;
const DATAGRAM = /^holdfast-beat 1 (\S+) (\S+)(?: (\S+))?\s*$/;

export function beatPath(pool: string, server: string): string {
  return `/heartbeat/${encodeName(pool)}/${encodeName(server)}`;
}

/** What follows a request's first slash, or undefined. */
export function parseBeatPath(path: string): Omit<Beat, "progress"> | undefined {
  const match = PATH.exec(path);
  const pool = decodeName(match?.[1]);
  const server = decodeName(match?.[2]);
  return pool === undefined || server === undefined ? undefined : { pool, server };
}

export function encodeBeatBody(progress: number | undefined): string {
  return progress === undefined ? "" : JSON.stringify({ progress });
}

/** The counter of a body; undefined when it has none; NaN when it is no body of a beat. */
export function parseBeatBody(body: string): number | undefined {
  if (body.trim() === "") return undefined;
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    return Number.NaN;
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return Number.NaN;
  const { progress } = value as { progress?: unknown };
  if (progress === undefined || progress === null) return undefined;
  return typeof progress === "number" ? progress : Number.NaN;
}

export function encodeBeatDatagram(beat: Beat): string {
  const counter = beat.progress === undefined ? "" : ` ${beat.progress}`;
  return `holdfast-beat 1 ${encodeName(beat.pool)} ${encodeName(beat.server)}${counter}`;
}

/** undefined for anything that is no beat of version 1. */
export function parseBeatDatagram(text: string): Beat | undefined {
  const match = DATAGRAM.exec(text);
  const pool = decodeName(match?.[1]);
  const server = decodeName(match?.[2]);
  const progress = match?.[3] === undefined ? undefined : Number(match[3]);
  if (pool === undefined || server === undefined) return undefined;
  return progress !== undefined && !Number.isFinite(progress) ? undefined : { pool, server, progress };
}

/** Server names hold colons, brackets and @, which may stay as they are. */
function encodeName(name: string): string {
  return encodeURIComponent(name).replace(/%(3A|40|5B|5D)/g, (octet) => decodeURIComponent(octet));
}

function decodeName(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
