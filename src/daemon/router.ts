/**
 * The router process: the virtual routers on a reactor of their own, with nothing else in it that could delay an advertisement. Told by
 * the supervisor what to do (router-messages.ts). It ignores the signals of the terminal; when the supervisor vanishes it says
 * priority 0, withdraws its addresses and exits.
 */
import { RouteClient, RouteWatch } from "../netlink/route-client.ts";
import { Mailbox, type MailboxHandler } from "../reactor/mailbox.ts";
import { PreciseTimers } from "../reactor/precise-timer.ts";
import { Reactor } from "../reactor/reactor.ts";
import { preciseNowMs } from "../sys/clock.ts";
import { EPOLLIN } from "../sys/epoll.ts";
import { SyscallError } from "../sys/errno.ts";
import { ignoreSignal, Signal, setDumpable } from "../sys/process.ts";
import { pauseRealtimeRun } from "../sys/scheduling.ts";
import { AdvertisementSockets } from "../vrrp/advertisement-socket.ts";
import { FrameAnnouncer } from "../vrrp/announcer.ts";
import { FrameDuplicateWatch } from "../vrrp/duplicate-watch.ts";
import { FrameSockets } from "../vrrp/frame-sockets.ts";
import { isIpv6Router, prepareInterface, prepareVirtualMac } from "../vrrp/interface-sysctls.ts";
import { RouterSet } from "../vrrp/router-set.ts";
import type { Clock, Log } from "../vrrp/surroundings.ts";
import { MAILBOX_FD } from "./messages.ts";
import type { RouterReport, RouterRequest } from "./router-messages.ts";
import { dropToRouterUser, missingCapabilities, requestScheduling } from "./router-privileges.ts";

/** A change is told at once, but not more often than this. */
const REPORT_INTERVAL_MIN_MS = 100;
/** Without a change: the sign of life. */
const REPORT_INTERVAL_MAX_MS = 1000;
/** A supervisor that is frozen reads nothing: facts that the next report replaces do not pile up; transitions and answers do. */
const REPORT_BACKLOG_BYTES_MAX = 256 * 1024;

type ConfigureRouters = Extract<RouterRequest, { type: "configure-routers" }>;

export class Router implements MailboxHandler<RouterRequest> {
  readonly #reactor = new Reactor();
  readonly #timers = new PreciseTimers(this.#reactor);
  readonly #mailbox: Mailbox<RouterRequest, RouterReport>;
  readonly #clock: Clock = {
    nowMs: preciseNowMs,
    unixNowMs: () => Date.now(),
    at: (deadlineMs, callback) => {
      const timer = this.#timers.at(deadlineMs, callback);
      return { cancel: () => this.#timers.cancel(timer) };
    },
  };
  #routers: RouterSet | undefined;
  #sockets: AdvertisementSockets | undefined;
  #reportedAtMs = Number.NEGATIVE_INFINITY;
  #hasChanged = false;

  constructor() {
    for (const signal of [Signal.SIGHUP, Signal.SIGINT, Signal.SIGTERM, Signal.SIGUSR1, Signal.SIGPIPE])
      ignoreSignal(signal);
    this.#mailbox = new Mailbox(MAILBOX_FD, this.#reactor, this);
  }

  /** Blocks until it is released or stopped. */
  run(): void {
    try {
      this.#reactor.run();
    } catch (error) {
      // A bug, and the end of this process: the peers hear of it at once, and no address waits for the end of its lease.
      this.#routers?.stop();
      throw error;
    }
  }

  handleMessage(message: RouterRequest): void {
    switch (message.type) {
      case "configure-routers":
        this.#configure(message);
        break;
      case "tracker-results":
        this.#routers?.handleTrackerResults(message.results);
        break;
      case "router-order":
        this.#routers?.handleOrder(message.requestId, message.router, message.order);
        break;
      case "release":
        this.#release(message.deadlineMs);
        break;
      case "stop":
        this.#stop();
        break;
    }
  }

  handleSupervisorGone(): void {
    this.#stop();
  }

  #configure(message: ConfigureRouters): void {
    try {
      if (this.#routers === undefined) this.#start(message);
      else this.#apply(this.#routers, message);
    } catch (error) {
      this.#mailbox.post({ type: "fatal", message: describeFailure(error) });
      this.#stop();
    }
  }

  #start(message: ConfigureRouters): void {
    const missing = missingCapabilities();
    if (missing !== undefined) throw new Error(missing);
    const scheduling = requestScheduling(this.#log);
    if (message.user !== undefined && dropToRouterUser(message.user)) setDumpable();
    const route = new RouteClient();
    // Before the first list is made: what changes meanwhile is told again, never missed.
    const watch = new RouteWatch((event) => this.#routers?.handleRouteEvent(event));
    const sockets = new AdvertisementSockets(this.#reactor);
    this.#sockets = sockets;
    const frames = new FrameSockets();
    this.#routers = new RouterSet({
      clock: this.#clock,
      route,
      openPort: (plan, user) => sockets.open(plan, user),
      prepareVirtualMac: (name, parent) => prepareVirtualMac(name, parent, this.#log),
      newAnnouncer: () => new FrameAnnouncer(this.#clock, frames.send, isIpv6Router),
      newDuplicateWatch: () => new FrameDuplicateWatch(this.#reactor),
      log: this.#log,
      reportTransition: (record) => this.#mailbox.post({ type: "transition", record }),
      prepareInterface: (config) => prepareInterface(config, this.#log),
      handleChange: () => {
        this.#hasChanged = true;
      },
      post: (report) => this.#mailbox.post(report),
    });
    this.#reactor.register(watch.fd, EPOLLIN, watch);
    this.#apply(this.#routers, message);
    this.#mailbox.post({ type: "ready", scheduling });
    this.#reactor.onEndOfTurn(() => this.#reportWhenDue());
    this.#beat();
  }

  #apply(routers: RouterSet, { results, maintenance, ...message }: ConfigureRouters): void {
    routers.handleTrackerResults(results ?? []);
    routers.configure(message.routers, maintenance);
  }

  /** Wakes the reactor often enough for the reports; reportWhenDue() decides. In a flood of packets it is the only pause. */
  #beat(): void {
    pauseRealtimeRun();
    this.#clock.at(this.#clock.nowMs() + REPORT_INTERVAL_MIN_MS, () => this.#beat());
  }

  #reportWhenDue(): void {
    const nowMs = this.#clock.nowMs();
    const waitMs = this.#hasChanged ? REPORT_INTERVAL_MIN_MS : REPORT_INTERVAL_MAX_MS;
    if (nowMs - this.#reportedAtMs < waitMs || this.#routers === undefined) return;
    this.#report(this.#routers);
    this.#reportedAtMs = nowMs;
  }

  #report(routers: RouterSet): void {
    this.#hasChanged = false;
    const loopLagMsMax = Math.round(routers.takeLagMsMax() * 1000) / 1000;
    const { unknownIdCount = 0 } = this.#sockets ?? {};
    this.#mailbox.postUnlessBehind(
      { type: "routers", routers: routers.facts(), loopLagMsMax, unknownIdCount },
      REPORT_BACKLOG_BYTES_MAX,
    );
  }

  #release(deadlineMs: number): void {
    if (this.#routers === undefined) this.#stop();
    else
      this.#routers.release(deadlineMs, () => {
        this.#mailbox.post({ type: "released" });
        this.#reactor.stop();
      });
  }

  #stop(): void {
    this.#routers?.stop();
    this.#reactor.stop();
  }

  readonly #log: Log = (level, event, message, fields) => {
    this.#mailbox.post({ type: "log", level, event, message, ...(fields === undefined ? {} : { fields }) });
  };
}

function describeFailure(error: unknown): string {
  if (!(error instanceof SyscallError)) return error instanceof Error ? error.message : String(error);
  return error.hint === undefined ? error.message : `${error.message}; ${error.hint}`;
}
