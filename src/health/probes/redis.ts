/**
 * Check `redis`: AUTH where a password is configured, then PING, which only a server that serves answers with PONG (one that
 * is loading its data says so, and is down until it has). RESP2, https://redis.io/docs/latest/develop/reference/protocol-spec/.
 */
import type { Socket } from "node:net";
import type { SocketAddress } from "../../config/types.ts";
import { ANSWER_BYTES_MAX, quote, SocketProbe } from "./socket-probe.ts";

export class RedisProbe extends SocketProbe {
  readonly #request: string;
  readonly #isAuthenticated: boolean;
  #received = "";

  constructor(address: SocketAddress, user: string | undefined, password: string | undefined) {
    super(address);
    this.#isAuthenticated = password !== undefined;
    const auth =
      password === undefined ? "" : encodeCommand(["AUTH", ...(user === undefined ? [] : [user]), password]);
    this.#request = auth + encodeCommand(["PING"]);
  }

  protected override handleConnected(socket: Socket): void {
    this.#received = "";
    socket.write(this.#request);
  }

  protected override handleBytes(bytes: Buffer): void {
    this.#received += bytes.toString("latin1");
    if (this.#received.length > ANSWER_BYTES_MAX) {
      this.fail("the answer is not Redis'");
      return;
    }
    const lines = this.#received.split("\r\n").slice(0, -1);
    const complaint = lines.find((line) => line.startsWith("-"));
    if (complaint !== undefined) this.fail(`answered ${quote(complaint.slice(1))}`);
    else if (lines.length > (this.#isAuthenticated ? 1 : 0)) this.#judge(lines.at(-1)!);
  }

  #judge(line: string): void {
    if (line === "+PONG") this.succeed("answered PONG");
    else this.fail(`answered ${quote(line)} to PING`);
  }
}

function encodeCommand(words: readonly string[]): string {
  return `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join("")}`;
}
