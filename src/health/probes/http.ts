/**
 * Checks `http` and `https`: one request on a new connection; status, and if asked for the body, must be as wanted.
 * The answer is read by the same parser as the data plane's (http1/): a server whose answers the gateway could not forward is
 * not up. A raw socket and not node:http, which costs three times as much: thousands of servers are checked every few seconds.
 */
import type { Socket } from "node:net";
import type { HttpCheckConfig, SocketAddress } from "../../config/types.ts";
import { MethodCode } from "../../http1/request-head.ts";
import { parseResponseHead, RESPONSE_REJECTIONS, ResponseHead } from "../../http1/response-head.ts";
import { BodyProgress, MessageBody } from "../../proxy/message-body.ts";
import { formatSocketAddress } from "../../sys/sockaddr.ts";
import { ANSWER_BYTES_MAX, quote, SocketProbe, tlsOptions } from "./socket-probe.ts";

const HEAD_BYTES_MAX = 16 * 1024;
const NOTHING = new Uint8Array(0);
/** One for all probes: parsing does not wait for anything. */
const responseHead = new ResponseHead();

export class HttpProbe extends SocketProbe {
  readonly #check: HttpCheckConfig;
  readonly #request: string;
  readonly #bodyPattern: RegExp | undefined;
  #received: Uint8Array = NOTHING;
  #answer: HttpAnswer | undefined;

  constructor(address: SocketAddress, check: HttpCheckConfig) {
    const host = check.host ?? hostOf(address);
    super(address, check.tls ? tlsOptions(withoutPort(host), check.verify) : undefined);
    this.#check = check;
    this.#request = requestOf(check, host);
    this.#bodyPattern = check.bodyMatches === undefined ? undefined : new RegExp(check.bodyMatches);
  }

  protected override handleConnected(socket: Socket): void {
    this.#received = NOTHING;
    this.#answer = undefined;
    socket.write(this.#request);
  }

  protected override handleBytes(bytes: Buffer): void {
    if (this.#answer !== undefined) {
      this.#readBody(bytes);
      return;
    }
    this.#received = this.#received.length === 0 ? bytes : Buffer.concat([this.#received, bytes]);
    this.#readHead();
  }

  protected override handleEnd(): void {
    if (this.#answer === undefined) super.handleEnd();
    else if (this.#answer.endsByClose) this.judgeBody(this.#answer.text);
    else this.fail(`answered ${this.#answer.status}, but the body was cut short`);
  }

  #readHead(): void {
    const head = responseHead;
    const method = this.#check.method === "HEAD" ? MethodCode.HEAD : MethodCode.GET;
    const end = parseResponseHead(this.#received, 0, this.#received.length, HEAD_BYTES_MAX, method, head);
    if (end === 0) return;
    if (end < 0) {
      this.fail(RESPONSE_REJECTIONS[-end]!.sentence);
      return;
    }
    const bytes = this.#received;
    const rest = bytes.subarray(end);
    this.#received = rest;
    if (head.status < 200)
      this.#readHead(); // an interim answer: the real one follows (RFC 9110 §15.2)
    else this.#judgeHead(bytes, head, rest);
  }

  #judgeHead(bytes: Uint8Array, head: ResponseHead, rest: Uint8Array): void {
    const { status } = head;
    if (!this.#check.status.some(([from, to]) => status >= from && status <= to))
      this.fail(`answered ${status}`);
    else if (!this.wantsBody(bytes, head)) this.succeed(`answered ${status}`);
    else {
      this.#answer = new HttpAnswer(head);
      this.#readBody(rest);
    }
  }

  #readBody(bytes: Uint8Array): void {
    const answer = this.#answer!;
    const progress = answer.read(bytes);
    if (progress === BodyProgress.ERROR)
      this.fail(`answered ${answer.status}, but the body's chunks are broken`);
    else if (progress === BodyProgress.DONE || answer.text.length > ANSWER_BYTES_MAX)
      this.judgeBody(answer.text);
  }

  /** The answer has a status that was asked for; its head is in `bytes`. True: its body is to be judged, too. */
  protected wantsBody(_bytes: Uint8Array, _head: ResponseHead): boolean {
    return this.#check.bodyContains !== undefined || this.#bodyPattern !== undefined;
  }

  protected judgeBody(text: string): void {
    const { bodyContains } = this.#check;
    const seen = `answered ${this.#answer!.status}, but the body ${quote(text, 40)}`;
    if (bodyContains !== undefined && !text.includes(bodyContains))
      this.fail(`${seen} does not contain ${quote(bodyContains)}`);
    else if (this.#bodyPattern !== undefined && !this.#bodyPattern.test(text))
      this.fail(`${seen} does not match /${this.#bodyPattern.source}/`);
    else this.succeed(`answered ${this.#answer!.status} with the body that was expected`);
  }
}

/** The body of an answer whose status was right. */
class HttpAnswer {
  readonly status: number;
  text = "";
  readonly #body = new MessageBody();
  readonly #decoder = new TextDecoder();

  constructor(head: ResponseHead) {
    this.status = head.status;
    this.#body.begin(head.framing, head.contentLength);
    this.endsByClose = !this.#body.isComplete && head.contentLength < 0 && !head.isChunked;
  }

  /** The end of the connection is the end of the body. */
  readonly endsByClose: boolean;

  read(bytes: Uint8Array): number {
    if (this.#body.isComplete) return BodyProgress.DONE;
    const progress = this.#body.read(bytes, 0, bytes.length);
    this.text += this.#decoder.decode(bytes.subarray(this.#body.dataStart, this.#body.dataEnd), {
      stream: true,
    });
    return progress;
  }
}

function requestOf(check: HttpCheckConfig, host: string): string {
  const named = new Set(check.headers.map(([name]) => name.toLowerCase()));
  const lines = [`${check.method} ${check.path} HTTP/1.1`];
  if (!named.has("host")) lines.push(`Host: ${host}`);
  if (!named.has("user-agent")) lines.push("User-Agent: holdfast-health");
  lines.push(...check.headers.map(([name, value]) => `${name}: ${value}`), "Connection: close");
  return `${lines.join("\r\n")}\r\n\r\n`;
}

/** Host field of a check that names none: the server's address. */
function hostOf(address: SocketAddress): string {
  return address.family === "unix" ? "localhost" : formatSocketAddress(address);
}

/** The host of `host:port`, without the brackets of an IPv6 address. */
function withoutPort(host: string): string {
  const bracketed = /^\[(.*)\](?::\d+)?$/.exec(host);
  return bracketed === null ? host.replace(/:\d+$/, "") : bracketed[1]!;
}
