/**
 * Sends the beats of a Node program. A beat says "my event loop turns, my own check agrees", so it is sent from a plain timer of that
 * very loop: while the loop is blocked, or the process is stopped, none goes out, and the gateway's deadline passes. A beat whose
 * timer came too late is withheld as well: a loop that turns once in a while is not well. Exported by index.ts.
 */
import { DatagramTransport, HttpTransport, type Transport } from "./transport.ts";

export interface HeartbeatOptions {
  /** The gateway's `heartbeats.bind` as an http: URL; or `address`. */
  readonly url?: string;
  /** The same as HOST:PORT: beats are datagrams. */
  readonly address?: string;
  /** Names of the pool and of this server in the gateway's configuration. */
  readonly pool: string;
  readonly server: string;
  /** Between two beats; a third of the gateway's `deadline`, or less. */
  readonly intervalMs: number;
  /** The program's own check before each beat. False, a rejection or no answer yet: the beat is withheld. */
  readonly isHealthy?: () => boolean | Promise<boolean>;
  /** A number that changes when work gets done. */
  readonly progress?: () => number;
  /** A beat is withheld when the event loop came to it later than this; the interval, if not given. */
  readonly loopDelayMsMax?: number;
  /** Called when a problem begins, changes, and (with undefined) when it is over. */
  readonly onProblem?: (problem: string | undefined) => void;
}

export interface HeartbeatStatistics {
  /** Beats handed to the gateway: answered with 204, or sent as a datagram. */
  readonly sent: number;
  readonly failed: number;
  /** Beats that were not sent, because the loop was late or the check did not agree. */
  readonly withheld: number;
  /** How late the event loop came to the last beat, and the worst of all. */
  readonly loopDelayMs: number;
  readonly loopDelayMsWorst: number;
  readonly problem: string | undefined;
}

export interface HeartbeatHandle {
  statistics(): HeartbeatStatistics;
  /** No more beats: the gateway takes this server out after its deadline. */
  stop(): void;
}

/** Begins at once, and does not keep the program alive. Throws a TypeError for options that cannot be. */
export function startHeartbeat(options: HeartbeatOptions): HeartbeatHandle {
  return new Sender(options);
}

class Sender implements HeartbeatHandle {
  readonly #options: HeartbeatOptions;
  readonly #loopDelayMsMax: number;
  readonly #transport: Transport;
  #timer: NodeJS.Timeout | undefined;
  #dueMs = 0;
  #isChecking = false;
  #isStopped = false;
  #sent = 0;
  #failed = 0;
  #withheld = 0;
  #loopDelayMs = 0;
  #loopDelayMsWorst = 0;
  #problem: string | undefined;

  constructor(options: HeartbeatOptions) {
    const { intervalMs } = options;
    if (!(intervalMs >= 10 && intervalMs <= 2 ** 31 - 1))
      throw new TypeError("intervalMs: a number of milliseconds from 10 on");
    if (!isName(options.pool) || !isName(options.server))
      throw new TypeError("pool and server: names from the gateway's configuration");
    this.#options = options;
    this.#loopDelayMsMax = options.loopDelayMsMax ?? intervalMs;
    this.#transport = this.#createTransport();
    this.#armFor(performance.now());
  }

  statistics(): HeartbeatStatistics {
    return {
      sent: this.#sent,
      failed: this.#failed,
      withheld: this.#withheld,
      loopDelayMs: this.#loopDelayMs,
      loopDelayMsWorst: this.#loopDelayMsWorst,
      problem: this.#problem,
    };
  }

  stop(): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    clearTimeout(this.#timer);
    this.#transport.close();
  }

  #createTransport(): Transport {
    const { url, address } = this.#options;
    const onAnswer = (problem: string | undefined) => this.#handleAnswer(problem);
    if (url !== undefined && address === undefined) return new HttpTransport(url, onAnswer);
    if (address !== undefined && url === undefined) return new DatagramTransport(address, onAnswer);
    throw new TypeError("one of url and address says where the gateway is");
  }

  #armFor(dueMs: number): void {
    this.#dueMs = dueMs;
    this.#timer = setTimeout(() => this.#beat(), Math.max(0, dueMs - performance.now()));
    this.#timer.unref();
  }

  #beat(): void {
    const nowMs = performance.now();
    const delayMs = Math.max(0, nowMs - this.#dueMs);
    this.#loopDelayMs = delayMs;
    this.#loopDelayMsWorst = Math.max(this.#loopDelayMsWorst, delayMs);
    this.#armFor(nowMs + this.#options.intervalMs);
    if (delayMs > this.#loopDelayMsMax)
      this.#withhold(`the event loop was blocked for ${Math.round(delayMs)} ms`);
    else if (this.#isChecking) this.#withhold("isHealthy() has not answered yet");
    else if (this.#options.isHealthy === undefined) this.#send();
    else void this.#check(this.#options.isHealthy);
  }

  async #check(isHealthy: () => boolean | Promise<boolean>): Promise<void> {
    this.#isChecking = true;
    try {
      if (await isHealthy()) this.#send();
      else this.#withhold("isHealthy() says no");
    } catch (error) {
      this.#withhold(`isHealthy() failed: ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      this.#isChecking = false;
    }
  }

  #send(): void {
    if (this.#isStopped) return;
    const { pool, server } = this.#options;
    let progress: number | undefined;
    try {
      progress = this.#options.progress?.();
    } catch (error) {
      this.#withhold(`progress() failed: ${error instanceof Error ? error.message : String(error)}`);
      return;
    }
    if (progress !== undefined && !Number.isFinite(progress)) this.#withhold(`progress() gave ${progress}`);
    else this.#transport.send({ pool, server, progress });
  }

  #handleAnswer(problem: string | undefined): void {
    if (this.#isStopped) return;
    if (problem === undefined) this.#sent++;
    else this.#failed++;
    this.#setProblem(problem);
  }

  #withhold(problem: string): void {
    if (this.#isStopped) return;
    this.#withheld++;
    this.#setProblem(problem);
  }

  #setProblem(problem: string | undefined): void {
    if (problem === this.#problem) return;
    this.#problem = problem;
    this.#options.onProblem?.(problem);
  }
}

/** Programs in plain JavaScript may leave it out. */
function isName(value: unknown): boolean {
  return typeof value === "string" && value !== "";
}
