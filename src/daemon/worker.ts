/**
 * A worker process: a reactor on inherited sockets, told by the supervisor what to do. From `run()` on there is no Node
 * event loop. It ignores the signals of the terminal: the supervisor says when to drain or stop, and when the
 * supervisor vanishes, the worker finishes what it has and exits.
 */
import type { GatewayConfig } from "../config/types.ts";
import { CounterLayout } from "../observe/counter-layout.ts";
import { AccessLog } from "../proxy/access-log.ts";
import { ProxyServer } from "../proxy/proxy-server.ts";
import { Mailbox, type MailboxHandler } from "../reactor/mailbox.ts";
import { Reactor } from "../reactor/reactor.ts";
import { describeSession, liveSessions } from "../relay/session-list.ts";
import { mapShared } from "../sys/memory.ts";
import { ignoreSignal, openAppend, Signal, setDumpable, setNonBlocking } from "../sys/process.ts";
import { type ConfigureMessage, MAILBOX_FD, type SupervisorMessage, type WorkerMessage } from "./messages.ts";
import { dropPrivileges } from "./privileges.ts";

export class Worker implements MailboxHandler<SupervisorMessage> {
  readonly #reactor = new Reactor();
  readonly #mailbox: Mailbox<SupervisorMessage, WorkerMessage>;
  #server: ProxyServer | undefined;
  #accessLog: AccessLog | undefined;
  #drainTimeoutMs = 0;

  constructor() {
    for (const signal of [Signal.SIGHUP, Signal.SIGINT, Signal.SIGTERM, Signal.SIGUSR1, Signal.SIGPIPE])
      ignoreSignal(signal);
    this.#mailbox = new Mailbox(MAILBOX_FD, this.#reactor, this);
  }

  /** Blocks until the worker is drained or stopped. */
  run(): void {
    this.#reactor.run();
    this.#accessLog?.flush();
    this.#server?.writeGauges();
  }

  handleMessage(message: SupervisorMessage): void {
    switch (message.type) {
      case "configure":
        this.#configure(message);
        break;
      case "drain":
        this.#drain(message.deadlineMs);
        break;
      case "stop":
        this.#reactor.stop();
        break;
      case "server-states":
        this.#server?.handleServerStates(message.states);
        break;
      case "list-sessions":
        this.#listSessions(message.requestId, message.limit);
        break;
      case "ping":
        this.#mailbox.post({ type: "pong", id: message.id });
        break;
      case "reopen-logs":
        this.#reopenLogs();
        break;
    }
  }

  handleSupervisorGone(): void {
    if (this.#server === undefined) this.#reactor.stop();
    else this.#drain(this.#drainTimeoutMs);
  }

  #configure(message: ConfigureMessage): void {
    try {
      this.#start(message);
      this.#mailbox.post({ type: "ready" });
    } catch (error) {
      this.#mailbox.post({ type: "fatal", message: error instanceof Error ? error.message : String(error) });
      this.#reactor.stop();
    }
  }

  #start(message: ConfigureMessage): void {
    const { config } = message;
    this.#drainTimeoutMs = config.drainTimeoutMs;
    const counters = new Float64Array(mapShared(message.countersFd, new CounterLayout(config).bytes));
    this.#accessLog = this.#openAccessLog(config, message.accessLogFd);
    const server = new ProxyServer(this.#reactor, config, counters, this.#accessLog, Math.random);
    this.#server = server;
    server.trafficObserver.onObservations = (observations) =>
      this.#mailbox.post({ type: "observations", observations });
    if (config.user !== undefined && dropPrivileges(config.user)) setDumpable();
    for (const socket of message.listeningSockets) {
      setNonBlocking(socket.fd);
      server.listeners[socket.listenerIndex]!.addSocket(socket.fd);
    }
  }

  #openAccessLog(config: GatewayConfig, inheritedFd: number | undefined): AccessLog | undefined {
    if (config.accessLog === undefined) return undefined;
    return new AccessLog(config.accessLog, inheritedFd ?? openAppend(config.accessLog.path), this.#reactor);
  }

  #drain(deadlineMs: number): void {
    const server = this.#server;
    if (server === undefined || server.isDraining) return;
    server.onDrained = () => {
      this.#mailbox.post({ type: "drained" });
      this.#reactor.stop();
    };
    server.drain(deadlineMs);
  }

  #listSessions(requestId: number, limit: number): void {
    const live = liveSessions(this.#reactor);
    const { nowMs } = this.#reactor;
    const sessions = live.slice(0, limit).map((session) => describeSession(session, nowMs));
    this.#mailbox.post({ type: "sessions", requestId, total: live.length, sessions });
  }

  #reopenLogs(): void {
    try {
      this.#accessLog?.reopen();
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      this.#mailbox.post({ type: "log", level: "error", event: "access-log-reopen-failed", message: text });
    }
  }
}
