/**
 * The gateway's own answers: a status, and one sentence that says what happened (RFC 9110 §15). Called by the proxy when a request
 * is refused or cannot be forwarded; a cold path, so it may allocate.
 */
import { octetsOf } from "./octets.ts";

export const REASON_PHRASES: Readonly<Record<number, string>> = {
  200: "OK",
  400: "Bad Request",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  408: "Request Timeout",
  411: "Length Required",
  413: "Content Too Large",
  414: "URI Too Long",
  417: "Expectation Failed",
  421: "Misdirected Request",
  426: "Upgrade Required",
  429: "Too Many Requests",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  501: "Not Implemented",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
  505: "HTTP Version Not Supported",
};

export interface ErrorResponseOptions {
  /** The request was HEAD: the head only, with the length the body would have. */
  readonly isHead: boolean;
  /** Send `Connection: close`. */
  readonly close: boolean;
  /** A whole line, "Date: …\r\n", or empty. */
  readonly date: Uint8Array;
  /** The client speaks HTTP/1.0 and its connection goes on: say so (RFC 9112 §9.3). */
  readonly isHttp10?: boolean;
  /** Value of Allow, which a 405 MUST carry (RFC 9110 §15.5.6). */
  readonly allow?: string;
}

/** A whole response. It must not be cached: 404, 405, 414 and 501 would be by default (RFC 9110 §15.1). */
export function encodeErrorResponse(
  status: number,
  sentence: string,
  options: ErrorResponseOptions,
): Uint8Array {
  const title = `${status} ${REASON_PHRASES[status] ?? "Error"}`;
  const body = octetsOf(`${title}\n${sentence}\n`);
  let head = `HTTP/1.1 ${title}\r\nContent-Type: text/plain\r\nContent-Length: ${body.length}\r\nCache-Control: no-store\r\n`;
  if (options.allow !== undefined) head += `Allow: ${options.allow}\r\n`;
  if (options.close) head += "Connection: close\r\n";
  else if (options.isHttp10 === true) head += "Connection: keep-alive\r\n";
  const headOctets = octetsOf(head);
  const end = octetsOf("\r\n");
  const parts = [headOctets, options.date, end, ...(options.isHead ? [] : [body])];
  const response = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    response.set(part, offset);
    offset += part.length;
  }
  return response;
}
