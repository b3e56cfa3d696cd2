/**
 * Probes many sockets of running processes at once, at a bounded rate, and puts their options back, also when it is interrupted.
 * A descriptor is borrowed for each look and closed at once: while we held one, the owner's close(2) would send nothing.
 * Driver of probe-machine.ts; called by cli/probe.ts.
 */
import { readFileSync } from "node:fs";
import { Errno, SyscallError } from "../sys/errno.ts";
import { pidfdOpen } from "../sys/pidfd.ts";
import { close } from "../sys/socket.ts";
import { getSocketOptions, setSocketOption } from "../sys/socket-options.ts";
import { getTcpInfo, TcpState } from "../sys/tcp-info.ts";
import { type LiveSocket, OtherHolders, processIdentity, withBorrowed } from "./live-sockets.ts";
import { afterChanges, type OptionValues, type SocketOptionChange } from "./option-plan.ts";
import { type ProbeAction, ProbeMachine, type ProbeSettings, type ProbeVerdict } from "./probe-machine.ts";
import { isInTable } from "./proc-net-tcp.ts";
import { formatEnd } from "./selector.ts";
import type { UndoJournal } from "./undo-journal-files.ts";

export type ProbeOutcome =
  | ProbeVerdict
  /** The owner closed the socket, or ended, while it was looked at. */
  | { readonly verdict: "gone"; readonly how: "process-ended" | "socket-closed" }
  | { readonly verdict: "refused"; readonly error: number }
  | { readonly verdict: "interrupted" };

export interface ProbeResult {
  readonly socket: LiveSocket;
  readonly outcome: ProbeOutcome;
  /** What the socket had when the probe began. */
  readonly before: OptionValues | undefined;
  /** What was set meanwhile; empty: nothing was changed. */
  readonly changes: readonly SocketOptionChange[];
  /** The options are as they were (true also when nothing was changed, and when the socket is gone). */
  readonly isRestored: boolean;
}

export interface ProberSettings extends ProbeSettings {
  readonly ratePerSecond: number;
  readonly journal: UndoJournal | undefined;
  readonly signal?: AbortSignal;
  readonly onResult?: (result: ProbeResult) => void;
}

export async function probeSockets(
  sockets: readonly LiveSocket[],
  settings: ProberSettings,
): Promise<ProbeResult[]> {
  const prober = new Prober(settings);
  try {
    return await prober.run(sockets);
  } finally {
    prober.close();
  }
}

class Prober {
  readonly #settings: ProberSettings;
  readonly #results: ProbeResult[] = [];
  readonly #active = new Set<SocketProbe>();
  readonly #pidfds = new Map<number, number>();
  /** Their owners closed them after our probe: because of a RST? */
  #vanished: SocketProbe[] = [];
  readonly #letGo: SocketProbe[] = [];

  constructor(settings: ProberSettings) {
    this.#settings = settings;
  }

  async run(sockets: readonly LiveSocket[]): Promise<ProbeResult[]> {
    const { ratePerSecond, signal } = this.#settings;
    const startMs = performance.now();
    let begun = 0;
    while ((begun < sockets.length || this.#active.size > 0) && signal?.aborted !== true) {
      const nowMs = performance.now();
      const allowed = Math.min(sockets.length, 1 + Math.floor(((nowMs - startMs) * ratePerSecond) / 1000));
      for (; begun < allowed; begun++) this.#begin(sockets[begun]!);
      for (const probe of this.#active) if (probe.dueMs <= performance.now()) this.#step(probe);
      this.#settleVanished();
      await untilNext(this.#active, begun < sockets.length ? 1000 / ratePerSecond : Number.POSITIVE_INFINITY);
    }
    this.#settleVanished();
    return this.#results;
  }

  /** Whatever happened: what is still under way gets its options back. */
  close(): void {
    for (const probe of this.#active) this.#finish(probe, { verdict: "interrupted" });
    // At the end, because it reads every descriptor of the host.
    const others = new OtherHolders();
    for (const probe of this.#letGo) probe.restoreElsewhere(others);
    for (const pidfd of this.#pidfds.values()) if (pidfd >= 0) close(pidfd);
  }

  #begin(socket: LiveSocket): void {
    const pidfd = this.#pidfdOf(socket);
    const probe = new SocketProbe(socket, pidfd, this.#settings);
    this.#active.add(probe);
    this.#step(probe);
  }

  #pidfdOf({ holder, startTicks }: LiveSocket): number {
    const known = this.#pidfds.get(holder.pid);
    if (known !== undefined) return known;
    const pidfd = pidfdOpen(holder.pid);
    this.#pidfds.set(holder.pid, pidfd);
    // Read after the pidfd is open: from here on the number cannot come to mean another process.
    if (pidfd >= 0 && processIdentity(holder.pid)?.startTicks !== startTicks) {
      close(pidfd);
      this.#pidfds.set(holder.pid, -Errno.ESRCH);
      return -Errno.ESRCH;
    }
    return pidfd;
  }

  #step(probe: SocketProbe): void {
    const outcome = probe.step();
    if (outcome === undefined) return;
    const isVanished = outcome.verdict === "gone" && outcome.how === "socket-closed" && probe.isAsked;
    if (isVanished) {
      this.#active.delete(probe);
      this.#vanished.push(probe);
    } else this.#finish(probe, outcome);
  }

  /** A program that gets ECONNRESET closes at once, often before our next look. What is in the kernel's table then tells. */
  #settleVanished(): void {
    const tables = new Map<number, string>();
    for (const probe of this.#vanished) {
      const { pid } = probe.socket.holder;
      const table = tables.get(pid) ?? readTable(pid);
      tables.set(pid, table);
      const wasReset = table !== "" && !isInTable(table, probe.socket.subject);
      this.#finish(
        probe,
        wasReset ? { verdict: "dead", how: "reset" } : { verdict: "gone", how: "socket-closed" },
      );
    }
    this.#vanished = [];
  }

  #finish(probe: SocketProbe, outcome: ProbeOutcome): void {
    this.#active.delete(probe);
    const result = probe.finish(outcome);
    if (probe.isLetGo) this.#letGo.push(probe);
    this.#results.push(result);
    this.#settings.onResult?.(result);
  }
}

/** Empty when the process has ended. */
function readTable(pid: number): string {
  return ["tcp", "tcp6"]
    .map((name) => {
      try {
        return readFileSync(`/proc/${pid}/net/${name}`, "latin1");
      } catch {
        return "";
      }
    })
    .join("");
}

/** Sleeps until the next probe is due, or `withinMs` have passed. */
async function untilNext(active: ReadonlySet<SocketProbe>, withinMs: number): Promise<void> {
  const nowMs = performance.now();
  let waitMs = withinMs;
  for (const { dueMs } of active) waitMs = Math.min(waitMs, dueMs - nowMs);
  if (!Number.isFinite(waitMs)) return;
  await new Promise((resolve) => setTimeout(resolve, Math.max(1, waitMs)));
}

/** One socket: its machine, and the descriptor that is borrowed for each step. */
class SocketProbe {
  dueMs = 0;
  /** Its owner had closed it, or ended, when the options were to be put back. */
  isLetGo = false;
  readonly socket: LiveSocket;
  readonly #pidfd: number;
  readonly #settings: ProberSettings;
  #machine: ProbeMachine | undefined;
  #changes: SocketOptionChange[] = [];
  #lastState = 0;

  constructor(socket: LiveSocket, pidfd: number, settings: ProberSettings) {
    this.socket = socket;
    this.#pidfd = pidfd;
    this.#settings = settings;
  }

  /** A probe has left: whatever happens now may be the answer. A connection that was half-closed ends without one, too. */
  get isAsked(): boolean {
    return this.#changes.length > 0 && this.#lastState === TcpState.ESTABLISHED;
  }

  /** The outcome, or undefined when there is more to do at `dueMs`. */
  step(): ProbeOutcome | undefined {
    return this.#borrow((fd) => this.#drive(fd));
  }

  /** Puts the options back. */
  finish(outcome: ProbeOutcome): ProbeResult {
    const machine = this.#machine;
    const result = { socket: this.socket, outcome, before: machine?.before, changes: this.#changes };
    if (machine === undefined || !machine.hasTouched) return { ...result, isRestored: true };
    const failed = this.#borrow((fd): ProbeOutcome | undefined => {
      for (const { option, value } of machine.restore()) setSocketOption(fd, option, value);
      return undefined;
    });
    const isRestored = failed === undefined || failed.verdict === "gone";
    this.isLetGo = failed?.verdict === "gone" && outcome.verdict === "gone";
    if (isRestored && !this.isLetGo) this.#settle();
    return { ...result, isRestored };
  }

  /** This process has let go of it; one that shares it (a fork) may go on with it. */
  restoreElsewhere(others: OtherHolders): void {
    const isSame = (subject: LiveSocket["subject"]): boolean =>
      socketName({ subject }) === socketName(this.socket);
    others.withSocket(this.socket.inode, isSame, (fd) => {
      for (const { option, value } of this.#machine?.restore() ?? []) setSocketOption(fd, option, value);
    });
    this.#settle();
  }

  #settle(): void {
    const { holder, inode } = this.socket;
    this.#settings.journal?.settle({ entry: "settled", pid: holder.pid, fd: holder.fd, inode });
  }

  #borrow(use: (fd: number) => ProbeOutcome | undefined): ProbeOutcome | undefined {
    if (this.#pidfd < 0) return failure(-this.#pidfd);
    try {
      const result = withBorrowed(this.#pidfd, this.socket.holder.fd, this.socket.inode, use);
      return typeof result === "number" ? failure(-result) : result;
    } catch (error) {
      if (error instanceof SyscallError) return { verdict: "refused", error: error.errno };
      throw error;
    }
  }

  #drive(fd: number): ProbeOutcome | undefined {
    this.#machine ??= new ProbeMachine(getSocketOptions(fd), this.#settings);
    for (;;) {
      const look = getTcpInfo(fd);
      if (look === undefined) return { verdict: "gone", how: "socket-closed" };
      this.#lastState = look.state;
      const action: ProbeAction = this.#machine.handleLook(performance.now(), look);
      if (action.kind === "finish") return action.verdict;
      if (action.kind === "look") {
        this.dueMs = action.atMs;
        return undefined;
      }
      this.#apply(fd, action.changes, this.#machine.before);
    }
  }

  #apply(fd: number, changes: readonly SocketOptionChange[], before: OptionValues): void {
    if (this.#changes.length === 0) {
      const { holder, startTicks, inode } = this.socket;
      const after = afterChanges(before, changes);
      const socket = socketName(this.socket);
      this.#settings.journal?.write({ entry: "socket", ...holder, startTicks, inode, socket, before, after });
      this.#changes.push(...changes);
    }
    for (const { option, value } of changes) setSocketOption(fd, option, value);
  }
}

function failure(error: number): ProbeOutcome {
  if (error === Errno.ESRCH) return { verdict: "gone", how: "process-ended" };
  if (error === Errno.EBADF) return { verdict: "gone", how: "socket-closed" };
  return { verdict: "refused", error };
}

/** `10.0.0.1:80->10.0.0.2:5000`, `listen 0.0.0.0:80`. */
export function socketName({ subject }: Pick<LiveSocket, "subject">): string {
  const local = formatEnd(subject.localHost, subject.localPort);
  return subject.isListening
    ? `listen ${local}`
    : `${local}->${formatEnd(subject.remoteHost, subject.remotePort)}`;
}
