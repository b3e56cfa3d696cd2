/**
 * Check `tcp`: the server accepts a connection; with `send` and `expect` it also answers with certain bytes (keepalived's
 * TCP_CHECK, HAProxy's tcp-check send / expect). Beware: without `expect`, the kernel alone answers for a frozen process.
 */
import type { Socket } from "node:net";
import type { SocketAddress } from "../../config/types.ts";
import { ANSWER_BYTES_MAX, quote, SocketProbe } from "./socket-probe.ts";

export class TcpProbe extends SocketProbe {
  readonly #send: string | undefined;
  readonly #expect: string | undefined;
  #received = "";

  constructor(address: SocketAddress, send: string | undefined, expect: string | undefined) {
    super(address);
    this.#send = send;
    this.#expect = expect;
  }

  protected override handleConnected(socket: Socket): void {
    this.#received = "";
    if (this.#send !== undefined) socket.write(this.#send);
    if (this.#expect === undefined) this.succeed("accepts connections");
  }

  protected override handleBytes(bytes: Buffer): void {
    this.#received += bytes.toString("utf8");
    if (this.#received.includes(this.#expect ?? "")) this.succeed(`answered ${quote(this.#expect ?? "")}`);
    else if (this.#received.length > ANSWER_BYTES_MAX) this.fail(this.#complaint());
  }

  protected override handleEnd(): void {
    this.fail(
      this.#received === "" ? "the server closed the connection without an answer" : this.#complaint(),
    );
  }

  #complaint(): string {
    return `answered ${quote(this.#received)}, not ${quote(this.#expect ?? "")}`;
  }
}
