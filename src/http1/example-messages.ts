/**
 * Short ways to write messages and read results in the tests of this folder: text in, text or a reason out.
 * Used by the tests only.
 */

import {
  RequestForwarding,
  ResponseForwarding,
  requestHeadBytesMax,
  responseHeadBytesMax,
  writeRequestHead,
  writeResponseHead,
} from "./head-writer.ts";
import { octetsOf } from "./octets.ts";
import { MethodCode, parseRequestHead, REQUEST_REJECTIONS, RequestHead } from "./request-head.ts";
import { parseResponseHead, RESPONSE_REJECTIONS, ResponseHead } from "./response-head.ts";

export const HEAD_BYTES_MAX = 16_384;

export function textOf(bytes: Uint8Array, start: number, end: number): string {
  return String.fromCharCode(...bytes.subarray(start, end));
}

/** "incomplete", a reason, or "ok". */
export function requestOutcome(text: string, headBytesMax = HEAD_BYTES_MAX): string {
  const bytes = octetsOf(text);
  const result = parseRequestHead(bytes, 0, bytes.length, headBytesMax, new RequestHead());
  if (result === 0) return "incomplete";
  return result < 0 ? REQUEST_REJECTIONS[-result]!.reason : "ok";
}

export function responseOutcome(text: string, method: number = MethodCode.GET): string {
  const bytes = octetsOf(text);
  const result = parseResponseHead(bytes, 0, bytes.length, HEAD_BYTES_MAX, method, new ResponseHead());
  if (result === 0) return "incomplete";
  return result < 0 ? RESPONSE_REJECTIONS[-result]!.reason : "ok";
}

export interface Parsed<Head> {
  readonly bytes: Uint8Array;
  readonly head: Head;
}

export function parsedRequest(text: string): Parsed<RequestHead> {
  const bytes = octetsOf(text);
  const head = new RequestHead();
  const result = parseRequestHead(bytes, 0, bytes.length, HEAD_BYTES_MAX, head);
  if (result <= 0) throw new Error(`refused: ${REQUEST_REJECTIONS[-result]!.reason}`);
  return { bytes, head };
}

export function parsedResponse(text: string, method: number = MethodCode.GET): Parsed<ResponseHead> {
  const bytes = octetsOf(text);
  const head = new ResponseHead();
  const result = parseResponseHead(bytes, 0, bytes.length, HEAD_BYTES_MAX, method, head);
  if (result <= 0) throw new Error(`refused: ${RESPONSE_REJECTIONS[-result]!.reason}`);
  return { bytes, head };
}

/** The head the server gets, with no address, Via or X-Forwarded-Proto to distract unless `settings` asks for them. */
export function forwardedRequest(text: string, settings: Partial<RequestForwarding> = {}): string {
  const { bytes, head } = parsedRequest(text);
  const forwarding = Object.assign(new RequestForwarding(), settings);
  const bound = requestHeadBytesMax(head, forwarding);
  const out = new Uint8Array(bound);
  const end = writeRequestHead(out, 0, bytes, head, forwarding);
  if (end > bound) throw new Error(`wrote ${end} octets, promised at most ${bound}`);
  return textOf(out, 0, end);
}

export function forwardedResponse(
  text: string,
  settings: Partial<ResponseForwarding> = {},
  method: number = MethodCode.GET,
): string {
  const { bytes, head } = parsedResponse(text, method);
  const forwarding = Object.assign(new ResponseForwarding(), { framing: head.framing }, settings);
  const bound = responseHeadBytesMax(head, forwarding);
  const out = new Uint8Array(bound);
  const end = writeResponseHead(out, 0, bytes, head, forwarding);
  if (end > bound) throw new Error(`wrote ${end} octets, promised at most ${bound}`);
  return textOf(out, 0, end);
}
