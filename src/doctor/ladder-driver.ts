/**
 * Runs a ladder (ladder.ts) on real connections: makes or accepts them, reads TCP_INFO ten times a second, has the kernel send the
 * probes. Needs no privilege. Sockets are our own, by system calls, because Node's give no TCP_INFO; a look costs a microsecond,
 * so polling two dozen of them costs less than watching them would. Called by cli/measure.ts.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { SocketAddress } from "../config/types.ts";
import { Errno, errnoName } from "../sys/errno.ts";
import { encodeSocketAddress, formatSocketAddress } from "../sys/sockaddr.ts";
import {
  AF_INET,
  AF_INET6,
  accept,
  bind,
  close,
  connect,
  getpeername,
  getsockname,
  listen,
  openStreamSocket,
  streamSocket,
} from "../sys/socket.ts";
import {
  setResetOnClose,
  setReuseAddress,
  setTcpKeepalive,
  setTcpUserTimeout,
  takeSocketError,
} from "../sys/socket-options.ts";
import { getTcpInfo, TcpState } from "../sys/tcp-info.ts";
import { type ConnectionSight, isDecided, PROBE_PLAN, RungMachine, type RungResult } from "./ladder.ts";

const LOOK_MS = 100;
const HOLDS_ALL = Number.POSITIVE_INFINITY;
/** Between two connects: a burst of connections looks like an attack to some boxes. */
const CONNECT_SPACING_MS = 50;
const CONNECT_TIMEOUT_MS = 10_000;
/** Below every rung, so that the kernel probes at once. */
const KEEPIDLE_NOW_SECONDS = 1;

export interface LadderProgress {
  readonly elapsedMs: number;
  readonly connected: number;
  readonly total: number;
  readonly results: readonly RungResult[];
  /** The last that became known; undefined: nothing new. */
  readonly news: RungResult | undefined;
  readonly nextProbeInMs: number | undefined;
}

export interface LadderOptions {
  readonly signal: AbortSignal;
  readonly onProgress: (progress: LadderProgress) => void;
  /** Wait for every rung, also when the answer is certain. */
  readonly isComplete: boolean;
}

export interface LadderRun {
  readonly results: readonly RungResult[];
  readonly wasInterrupted: boolean;
}

/** One connection and the machine that judges it. */
interface Rung {
  readonly machine: RungMachine;
  fd: number;
  connectDeadlineMs: number;
}

/** Where the connections of a ladder come from. */
interface ConnectionSource {
  /** The next connection if there is one now: a descriptor, or the name of the error that prevented it. */
  next(): number | string | undefined;
  /** No other is to be expected. */
  readonly isExhausted: boolean;
}

export async function climbTowards(
  address: SocketAddress,
  rungsMs: readonly number[],
  options: LadderOptions,
): Promise<LadderRun> {
  return climb(connector(address, rungsMs.length), rungsMs, options);
}

/** A listening socket whose accepted connections are the rungs, in the order of their arrival. */
export class LadderListener {
  readonly #fd: number;

  constructor(address: SocketAddress) {
    this.#fd = streamSocket(address.family === "inet6" ? AF_INET6 : AF_INET);
    try {
      setReuseAddress(this.#fd);
      bind(this.#fd, encodeSocketAddress(address));
      listen(this.#fd, 128);
    } catch (error) {
      close(this.#fd);
      throw error;
    }
  }

  get address(): SocketAddress {
    return getsockname(this.#fd);
  }

  /** `onPeer`: a connection came, from there. */
  climb(
    rungsMs: readonly number[],
    options: LadderOptions,
    onPeer: (peer: string) => void,
  ): Promise<LadderRun> {
    return climb(acceptor(this.#fd, rungsMs.length, onPeer), rungsMs, options);
  }

  /** Accepts and keeps quiet until it is told to stop; for a ladder that the other side climbs. */
  async hold(
    signal: AbortSignal,
    onChange: (held: number, ended: string | undefined) => void,
  ): Promise<void> {
    const source = acceptor(this.#fd, HOLDS_ALL, () => {});
    await holdConnections(source, signal, onChange);
  }

  close(): void {
    close(this.#fd);
  }
}

/** Opens connections and keeps quiet until all have ended; for a ladder that the other side climbs. */
export async function holdTowards(
  address: SocketAddress,
  count: number,
  signal: AbortSignal,
  onChange: (held: number, ended: string | undefined) => void,
): Promise<void> {
  await holdConnections(connector(address, count), signal, onChange);
}

function connector(address: SocketAddress, count: number): ConnectionSource {
  const target = encodeSocketAddress(address);
  let made = 0;
  let nextAtMs = 0;
  return {
    get isExhausted() {
      return made >= count;
    },
    next() {
      if (made >= count || performance.now() < nextAtMs) return undefined;
      made++;
      nextAtMs = performance.now() + CONNECT_SPACING_MS;
      const fd = openStreamSocket(target.family);
      if (fd < 0) return errnoName(-fd);
      const result = connect(fd, target);
      if (result === 0 || result === -Errno.EINPROGRESS) return fd;
      close(fd);
      return errnoName(-result);
    },
  };
}

/** Whoever opens connections for a ladder opens them in one go: after such a pause no other is expected. */
const ARRIVALS_END_MS = 5000;

function acceptor(listeningFd: number, count: number, onPeer: (peer: string) => void): ConnectionSource {
  let made = 0;
  let lastArrivalMs = Number.POSITIVE_INFINITY;
  return {
    get isExhausted() {
      return made >= count || (count !== HOLDS_ALL && performance.now() - lastArrivalMs > ARRIVALS_END_MS);
    },
    next() {
      if (made >= count) return undefined;
      const fd = accept(listeningFd);
      if (fd === -Errno.EAGAIN) return undefined;
      made++;
      lastArrivalMs = performance.now();
      if (fd < 0) return errnoName(-fd);
      try {
        onPeer(formatSocketAddress(getpeername(fd)));
      } catch {
        // Gone already; the rung will say so.
      }
      return fd;
    },
  };
}

async function climb(
  source: ConnectionSource,
  rungsMs: readonly number[],
  options: LadderOptions,
): Promise<LadderRun> {
  const ladder = new Ladder(rungsMs, options);
  try {
    while (!ladder.isDone(source)) {
      ladder.takeConnections(source);
      ladder.look();
      ladder.report();
      if (options.signal.aborted) break;
      await sleep(LOOK_MS, undefined, { signal: options.signal }).catch(() => {});
    }
  } finally {
    ladder.stop();
  }
  return { results: ladder.results, wasInterrupted: options.signal.aborted };
}

class Ladder {
  readonly #rungs: Rung[];
  readonly #options: LadderOptions;
  readonly #startedAtMs = performance.now();
  #taken = 0;
  #reported = 0;
  readonly #known: RungResult[] = [];

  constructor(rungsMs: readonly number[], options: LadderOptions) {
    this.#rungs = rungsMs.map((rungMs) => ({
      machine: new RungMachine(rungMs),
      fd: -1,
      connectDeadlineMs: Number.POSITIVE_INFINITY,
    }));
    this.#options = options;
  }

  /** In the order of the rungs; those to which no connection ever came are left out. */
  get results(): readonly RungResult[] {
    return this.#rungs
      .slice(0, this.#taken)
      .flatMap(({ machine }) => machine.result ?? [])
      .toSorted((a, b) => a.rungMs - b.rungMs);
  }

  isDone(source: ConnectionSource): boolean {
    const taken = this.#rungs.slice(0, this.#taken);
    const isQuiet = taken.every(({ machine }) => machine.result !== undefined);
    if (isQuiet && this.#taken > 0 && source.isExhausted) return true;
    // A probe on its way is waited for: its answer may contradict the others.
    return (
      !this.#options.isComplete &&
      isDecided(this.results) &&
      !taken.some(({ machine }) => machine.isWaitingForAnswer)
    );
  }

  takeConnections(source: ConnectionSource): void {
    while (this.#taken < this.#rungs.length) {
      const taken = source.next();
      if (taken === undefined) return;
      const rung = this.#rungs[this.#taken++]!;
      if (typeof taken === "string") {
        rung.machine.handleRefused(taken);
        this.#apply(rung);
        continue;
      }
      rung.fd = taken;
      rung.connectDeadlineMs = performance.now() + CONNECT_TIMEOUT_MS;
    }
  }

  look(): void {
    for (const rung of this.#rungs) {
      if (rung.fd === -1) continue;
      const sight = sightOf(rung.fd);
      const nowMs = performance.now();
      if (sight.phase === "connecting" && nowMs > rung.connectDeadlineMs)
        rung.machine.handleRefused("ETIMEDOUT");
      else rung.machine.handleSight(nowMs, sight);
      this.#apply(rung);
    }
  }

  report(): void {
    const nowMs = performance.now();
    const timeouts = this.#rungs.flatMap(({ machine }) => machine.nextTimeout() ?? []);
    const common = {
      elapsedMs: nowMs - this.#startedAtMs,
      connected: this.#rungs.filter(({ fd }) => fd !== -1).length,
      total: this.#rungs.length,
      results: this.results,
      nextProbeInMs: timeouts.length === 0 ? undefined : Math.max(0, Math.min(...timeouts) - nowMs),
    };
    const news = this.#known.slice(this.#reported);
    this.#reported = this.#known.length;
    if (news.length === 0) this.#options.onProgress({ ...common, news: undefined });
    for (const result of news) this.#options.onProgress({ ...common, news: result });
  }

  stop(): void {
    for (const rung of this.#rungs.slice(0, this.#taken)) {
      rung.machine.handleStop(performance.now());
      this.#apply(rung);
    }
    this.report();
  }

  #apply(rung: Rung): void {
    for (;;) {
      const effect = rung.machine.pollEffect();
      if (effect === undefined) return;
      if (effect.kind === "probe") probeNow(rung.fd);
      else {
        if (rung.machine.result !== undefined) this.#known.push(rung.machine.result);
        if (rung.fd === -1) continue;
        if (!effect.politely) resetOnClose(rung.fd);
        close(rung.fd);
        rung.fd = -1;
      }
    }
  }
}

function sightOf(fd: number): ConnectionSight {
  const info = getTcpInfo(fd);
  if (info === undefined || info.state === TcpState.CLOSE) {
    const error = takeSocketError(fd);
    return {
      phase: "closed",
      errno: error === 0 ? undefined : errnoName(error),
      sinceDataReceivedMs: 0,
      sinceAckReceivedMs: 0,
    };
  }
  const { lastDataReceivedMs: sinceDataReceivedMs, lastAckReceivedMs: sinceAckReceivedMs } = info;
  return { phase: phaseOf(info.state), errno: undefined, sinceDataReceivedMs, sinceAckReceivedMs };
}

function phaseOf(state: number): ConnectionSight["phase"] {
  if (state === TcpState.SYN_SENT || state === TcpState.SYN_RECV) return "connecting";
  return state === TcpState.ESTABLISHED ? "established" : "peer-ended";
}

/** Count and interval first, SO_KEEPALIVE then, TCP_KEEPIDLE last: only in this order is the first probe sent at once. */
function probeNow(fd: number): void {
  try {
    setTcpUserTimeout(fd, 0);
    // One more than is waited for: the machine ends the wait, not the kernel.
    const probeCount = PROBE_PLAN.count + 1;
    const intervalSeconds = PROBE_PLAN.intervalMs / 1000;
    setTcpKeepalive(fd, { enabled: undefined, idleSeconds: undefined, intervalSeconds, probeCount });
    setTcpKeepalive(fd, {
      enabled: true,
      idleSeconds: undefined,
      intervalSeconds: undefined,
      probeCount: undefined,
    });
    setTcpKeepalive(fd, {
      enabled: undefined,
      idleSeconds: KEEPIDLE_NOW_SECONDS,
      intervalSeconds: undefined,
      probeCount: undefined,
    });
  } catch {
    // The connection ended at this moment: the next look says how.
  }
}

function resetOnClose(fd: number): void {
  try {
    setResetOnClose(fd);
  } catch {
    // It is closed already.
  }
}

/** Ends when every connection has ended, or at the signal. */
async function holdConnections(
  source: ConnectionSource,
  signal: AbortSignal,
  onChange: (held: number, ended: string | undefined) => void,
): Promise<void> {
  const held = new Map<number, { since: number; isConnected: boolean }>();
  while (!signal.aborted) {
    for (let next = source.next(); next !== undefined; next = source.next()) {
      if (typeof next === "string") onChange(held.size, `no connection: ${next}`);
      else held.set(next, { since: performance.now(), isConnected: false });
    }
    for (const [fd, entry] of held) {
      const { phase, errno } = sightOf(fd);
      if (phase === "connecting") continue;
      if (phase === "established") {
        if (!entry.isConnected) onChange(held.size, undefined);
        entry.isConnected = true;
        continue;
      }
      close(fd);
      held.delete(fd);
      const seconds = ((performance.now() - entry.since) / 1000).toFixed(1);
      onChange(held.size, `${phase === "closed" ? (errno ?? "closed") : "FIN"} after ${seconds} s`);
    }
    if (held.size === 0 && source.isExhausted) break;
    await sleep(LOOK_MS, undefined, { signal }).catch(() => {});
  }
  for (const fd of held.keys()) close(fd);
}
