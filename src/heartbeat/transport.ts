/**
 * How a beat gets to the gateway: one HTTP request on a persistent connection, or one datagram. Nothing here keeps the program
 * alive (every socket is unref'd), and nothing throws: what goes wrong is told to `onAnswer`. Used by sender.ts.
 */
import { createSocket, type Socket as DatagramSocket } from "node:dgram";
import { Agent, type ClientRequest, request } from "node:http";
import { BEAT_REFUSED, type Beat, beatPath, encodeBeatBody, encodeBeatDatagram } from "./beat-format.ts";

export interface Transport {
  /** Sends one beat; one that is still under way is given up. */
  send(beat: Beat): void;
  close(): void;
}

/** What became of a beat: undefined when the gateway took it (a datagram: when it was sent), else what is wrong. */
export type OnAnswer = (problem: string | undefined) => void;

export class HttpTransport implements Transport {
  readonly #url: URL;
  readonly #onAnswer: OnAnswer;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  #request: ClientRequest | undefined;

  constructor(url: string, onAnswer: OnAnswer) {
    this.#url = new URL(url);
    if (this.#url.protocol !== "http:") throw new TypeError(`url: ${url} is not an http: URL`);
    this.#onAnswer = onAnswer;
  }

  send(beat: Beat): void {
    this.#giveUp();
    const body = encodeBeatBody(beat.progress);
    const put = request({
      // URL keeps the brackets of an IPv6 address; connect() must not see them.
      host: this.#url.hostname.replace(/^\[(.*)\]$/, "$1"),
      port: this.#url.port === "" ? 80 : this.#url.port,
      method: "PUT",
      path: `${this.#url.pathname.replace(/\/$/, "")}${beatPath(beat.pool, beat.server)}`,
      headers: { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body) },
      agent: this.#agent,
    });
    this.#request = put;
    const finish = (problem: string | undefined): void => {
      if (this.#request !== put) return;
      this.#request = undefined;
      this.#onAnswer(problem);
    };
    put.on("socket", (socket) => socket.unref());
    put.on("error", (error: NodeJS.ErrnoException) => finish(describe(error)));
    put.on("response", (response) => {
      const isTaken = response.statusCode === 204;
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (part: string) => {
        if (text.length < 4096) text += part;
      });
      response.on("end", () =>
        finish(isTaken ? undefined : `the gateway answered ${response.statusCode}: ${text.trim()}`),
      );
      response.on("error", (error) => finish(describe(error)));
    });
    put.end(body);
  }

  #giveUp(): void {
    const unanswered = this.#request;
    if (unanswered === undefined) return;
    this.#request = undefined;
    unanswered.destroy();
    this.#onAnswer("the gateway did not answer the last beat before the next one was due");
  }

  close(): void {
    this.#request = undefined;
    this.#agent.destroy();
  }
}

export class DatagramTransport implements Transport {
  readonly #host: string;
  readonly #port: number;
  readonly #onAnswer: OnAnswer;
  readonly #socket: DatagramSocket;
  #state: "idle" | "connecting" | "connected" = "idle";
  /** Sent as soon as the socket is connected. */
  #waiting: Beat | undefined;
  /** A problem came back since the last beat: that this one could be sent does not mean that it is over. */
  #wasRefused = false;

  constructor(address: string, onAnswer: OnAnswer) {
    this.#onAnswer = onAnswer;
    const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(address);
    this.#port = Number(match?.[3]);
    if (match === null || this.#port < 1 || this.#port > 65_535)
      throw new TypeError(`address: ${address} is not HOST:PORT`);
    this.#host = match[1] ?? match[2]!;
    this.#socket = createSocket(match[1] === undefined ? "udp4" : "udp6");
    this.#socket.unref();
    this.#socket.on("error", (error) => this.#handleError(error));
    this.#socket.on("connect", () => this.#handleConnected());
    this.#socket.on("message", (bytes) => {
      const text = bytes.toString("utf8");
      if (text.startsWith(BEAT_REFUSED))
        this.#refuse(`the gateway: ${text.slice(BEAT_REFUSED.length + 1).trim()}`);
    });
  }

  send(beat: Beat): void {
    if (this.#state === "connected") {
      this.#socket.send(encodeBeatDatagram(beat), (error) => this.#handleSent(error));
      return;
    }
    this.#waiting = beat;
    if (this.#state === "connecting") return;
    // Connected, so that the kernel says when nobody listens there: ECONNREFUSED, with the next beat.
    this.#state = "connecting";
    this.#socket.connect(this.#port, this.#host);
  }

  close(): void {
    this.#waiting = undefined;
    this.#socket.close();
  }

  #handleConnected(): void {
    this.#state = "connected";
    const beat = this.#waiting;
    this.#waiting = undefined;
    if (beat !== undefined) this.send(beat);
  }

  #handleError(error: NodeJS.ErrnoException): void {
    if (this.#state === "connecting") this.#state = "idle";
    this.#refuse(describe(error));
  }

  #handleSent(error: NodeJS.ErrnoException | null): void {
    if (error !== null) this.#refuse(describe(error));
    else if (!this.#wasRefused) this.#onAnswer(undefined);
    else this.#wasRefused = false;
  }

  #refuse(problem: string): void {
    this.#wasRefused = true;
    this.#onAnswer(problem);
  }
}

function describe(error: NodeJS.ErrnoException): string {
  return error.code === "ECONNREFUSED"
    ? "no gateway receives heartbeats there (ECONNREFUSED)"
    : error.message;
}
