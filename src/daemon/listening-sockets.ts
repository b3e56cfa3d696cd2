/**
 * The supervisor's listening sockets: bound once, inherited by every worker of every generation, so that neither a
 * crash nor a reload loses a connection that waits in the kernel's queue. A reload prepares a new set, in which an
 * address that stays keeps its descriptor, and then either commits it or throws it away.
 * Options set here (so_keepalive, tcp_user_timeout) are inherited by accepted sockets: tcp(7).
 */
import { chmodSync } from "node:fs";
import type { ListenerConfig, SocketAddress } from "../config/types.ts";
import { SyscallError } from "../sys/errno.ts";
import { AF_INET, AF_INET6, AF_UNIX, encodeSocketAddress, formatSocketAddress } from "../sys/sockaddr.ts";
import { bind, close, getsockname, listen, streamSocket } from "../sys/socket.ts";
import { setIpv6Only, setReuseAddress, setTcpKeepalive, setTcpUserTimeout } from "../sys/socket-options.ts";
import { describePortHolder } from "./port-holder.ts";
import { removeSocketFile, removeStaleSocketFile } from "./unix-path.ts";

export interface ListeningSocket {
  readonly listener: string;
  readonly listenerIndex: number;
  /** As configured; the key under which a reload finds it again. */
  readonly key: string;
  readonly fd: number;
  /** As bound: port 0 has become a number. */
  readonly address: SocketAddress;
}

/** A listener could not be bound: text for the operator. */
export class BindError extends Error {
  override readonly name = "BindError";
  readonly hint: string | undefined;

  constructor(message: string, hint: string | undefined, cause: unknown) {
    super(message, { cause });
    this.hint = hint;
  }
}

export class ListeningSockets {
  #sockets: readonly ListeningSocket[] = [];

  get all(): readonly ListeningSocket[] {
    return this.#sockets;
  }

  /** Opens what is new; changes nothing that exists. Throws a BindError after closing what it had opened. */
  prepare(listeners: readonly ListenerConfig[]): PreparedSockets {
    const opened: ListeningSocket[] = [];
    const next: ListeningSocket[] = [];
    try {
      listeners.forEach((listener, listenerIndex) => {
        for (const address of listener.bind) {
          const key = keyOf(listener, address);
          const kept = this.#sockets.find((socket) => socket.key === key);
          const fd = kept?.fd ?? this.#open(listener, address);
          const bound = kept?.address ?? boundAddress(fd, address);
          const socket = { listener: listener.name, listenerIndex, key, fd, address: bound };
          next.push(socket);
          if (kept === undefined) {
            opened.push(socket);
          }
        }
      });
    } catch (error) {
      opened.forEach(closeSocket);
      throw error;
    }
    return {
      sockets: next,
      commit: () => this.#commit(listeners, next),
      rollback: () => opened.forEach(closeSocket),
    };
  }

  /** Closes the supervisor's descriptors; workers that still accept have their own. */
  closeAll(): void {
    this.#sockets.forEach(closeSocket);
    this.#sockets = [];
  }

  #commit(listeners: readonly ListenerConfig[], next: readonly ListeningSocket[]): void {
    const kept = new Set(next.map((socket) => socket.fd));
    this.#sockets.filter((socket) => !kept.has(socket.fd)).forEach(closeSocket);
    for (const socket of next) {
      applyOptions(socket.fd, socket.address, listeners[socket.listenerIndex]!);
    }
    this.#sockets = next;
  }

  #open(listener: ListenerConfig, address: SocketAddress): number {
    try {
      return openListeningSocket(listener, address);
    } catch (error) {
      throw this.#explain(listener, address, error);
    }
  }

  #explain(listener: ListenerConfig, address: SocketAddress, error: unknown): Error {
    if (!(error instanceof SyscallError)) {
      return error instanceof Error ? error : new Error(String(error));
    }
    const where = `listener "${listener.name}" cannot listen on ${formatSocketAddress(address)}`;
    if (error.code === "EADDRINUSE") {
      return new BindError(
        `${where}: the address is in use${this.#holder(address)}`,
        holderHint(address),
        error,
      );
    }
    if (error.code === "EACCES" && address.family !== "unix" && address.port < 1024) {
      const hint = `allow it with: sysctl net.ipv4.ip_unprivileged_port_start=${address.port}, or setcap cap_net_bind_service=+ep on the node binary, or start as root with "user:" in the configuration`;
      return new BindError(`${where}: ports below 1024 need a privilege (EACCES)`, hint, error);
    }
    return new BindError(`${where}: ${error.code} from ${error.syscall}`, error.hint, error);
  }

  #holder(address: SocketAddress): string {
    if (address.family === "unix") {
      return " by a process that answers on it";
    }
    const { port } = address;
    const own = this.#sockets.find(
      (socket) => socket.address.family !== "unix" && socket.address.port === port,
    );
    if (own !== undefined) {
      return ` by this gateway itself (listener "${own.listener}", ${formatSocketAddress(own.address)})`;
    }
    const holder = describePortHolder(port);
    return holder === undefined ? "" : ` by ${holder}`;
  }
}

export interface PreparedSockets {
  readonly sockets: readonly ListeningSocket[];
  /** Closes what is not wanted any more and sets the options of all. */
  commit(): void;
  /** Closes what was opened. */
  rollback(): void;
}

/** Two listeners on port 0 are two sockets. */
function keyOf(listener: ListenerConfig, address: SocketAddress): string {
  const text = formatSocketAddress(address);
  return address.family !== "unix" && address.port === 0 ? `${listener.name} ${text}` : text;
}

function boundAddress(fd: number, address: SocketAddress): SocketAddress {
  return address.family === "unix" ? address : getsockname(fd);
}

const ADDRESS_FAMILY = { inet: AF_INET, inet6: AF_INET6, unix: AF_UNIX } as const;

function openListeningSocket(listener: ListenerConfig, address: SocketAddress): number {
  const fd = streamSocket(ADDRESS_FAMILY[address.family]);
  try {
    if (address.family === "unix") {
      removeStaleSocketFile(address.path);
    } else {
      setReuseAddress(fd);
    }
    if (address.family === "inet6") {
      setIpv6Only(fd);
    }
    bind(fd, encodeSocketAddress(address));
    if (address.family === "unix") {
      chmodSync(address.path, 0o666); // as open to clients as a port is; nginx does the same. Before listen(2).
    }
    applyOptions(fd, address, listener);
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}

/** listen(2) on a socket that listens already changes its backlog. */
function applyOptions(fd: number, address: SocketAddress, listener: ListenerConfig): void {
  if (address.family !== "unix") {
    setTcpKeepalive(fd, listener.tcpKeepalive);
    setTcpUserTimeout(fd, listener.tcpUserTimeoutMs);
  }
  listen(fd, listener.backlog);
}

function closeSocket(socket: ListeningSocket): void {
  close(socket.fd);
  if (socket.address.family === "unix") {
    removeSocketFile(socket.address.path);
  }
}

function holderHint(address: SocketAddress): string {
  return address.family === "unix"
    ? `find it with: ss -xlp src ${address.path}`
    : `find it with: ss -tlnp 'sport = :${address.port}'`;
}
