/**
 * Which socket options to set, in which order, to get from what a socket has to what is wanted, and back. Pure.
 * Read tcp_set_keepalive() and tcp_sock_set_keepidle_locked() (net/ipv4/tcp_timer.c, tcp.c): switching SO_KEEPALIVE on arms a full
 * TCP_KEEPIDLE from now; setting TCP_KEEPIDLE while it is on arms what is left since the last packet received, which may be nothing.
 * Used by enable, undo, probe and new-sockets.
 */
import type { TcpKeepalive } from "../tcp/so-keepalive.ts";

/** What one socket has: every part filled in by the kernel. */
export interface OptionValues {
  readonly isKeepaliveOn: boolean;
  readonly idleSeconds: number;
  readonly intervalSeconds: number;
  readonly probeCount: number;
  /** 0: none. */
  readonly userTimeoutMs: number;
}

export type SocketOptionName =
  | "SO_KEEPALIVE"
  | "TCP_KEEPIDLE"
  | "TCP_KEEPINTVL"
  | "TCP_KEEPCNT"
  | "TCP_USER_TIMEOUT";

/** One setsockopt(2). */
export interface SocketOptionChange {
  readonly option: SocketOptionName;
  readonly value: number;
}

/** What an operator asked for; an undefined part is left as it is. */
export interface WantedOptions {
  readonly keepalive: TcpKeepalive | undefined;
  readonly userTimeoutMs: number | undefined;
}

export function optionValue(options: OptionValues, option: SocketOptionName): number {
  switch (option) {
    case "SO_KEEPALIVE":
      return options.isKeepaliveOn ? 1 : 0;
    case "TCP_KEEPIDLE":
      return options.idleSeconds;
    case "TCP_KEEPINTVL":
      return options.intervalSeconds;
    case "TCP_KEEPCNT":
      return options.probeCount;
    case "TCP_USER_TIMEOUT":
      return options.userTimeoutMs;
  }
}

/**
 * Everything that was asked for, in the order that startles nobody: times first and SO_KEEPALIVE last, so that a socket which has been
 * quiet for an hour is probed one idle time from now, and a thousand such sockets do not all send in the same millisecond.
 */
export function wantedChanges({ keepalive, userTimeoutMs }: WantedOptions): SocketOptionChange[] {
  const changes: (readonly [SocketOptionName, number | undefined])[] = [
    ["TCP_KEEPINTVL", keepalive?.intervalSeconds],
    ["TCP_KEEPCNT", keepalive?.probeCount],
    ["TCP_KEEPIDLE", keepalive?.idleSeconds],
    ["TCP_USER_TIMEOUT", userTimeoutMs],
    ["SO_KEEPALIVE", keepalive?.enabled === undefined ? undefined : keepalive.enabled ? 1 : 0],
  ];
  return changes.flatMap(([option, value]) => (value === undefined ? [] : [{ option, value }]));
}

/** Only what is not so already. */
export function planChanges(current: OptionValues, wanted: WantedOptions): SocketOptionChange[] {
  return wantedChanges(wanted).filter(({ option, value }) => optionValue(current, option) !== value);
}

/** What the socket will have after the changes. */
export function afterChanges(before: OptionValues, changes: readonly SocketOptionChange[]): OptionValues {
  const value = (option: SocketOptionName): number =>
    changes.findLast((change) => change.option === option)?.value ?? optionValue(before, option);
  return {
    isKeepaliveOn: value("SO_KEEPALIVE") !== 0,
    idleSeconds: value("TCP_KEEPIDLE"),
    intervalSeconds: value("TCP_KEEPINTVL"),
    probeCount: value("TCP_KEEPCNT"),
    userTimeoutMs: value("TCP_USER_TIMEOUT"),
  };
}

/**
 * Back to `before`, for the options in `changed` that still have the value we gave them (`now` equals `after`). The order is safe in
 * between: SO_KEEPALIVE off goes first (nothing can fire any more); the times come next, TCP_USER_TIMEOUT last, because with one
 * set the kernel ignores the count and might give up at the tick that TCP_KEEPIDLE arms.
 */
export function planRestore(before: OptionValues, after: OptionValues, now: OptionValues): RestorePlan {
  const changed = RESTORE_ORDER.filter(
    (option) => optionValue(before, option) !== optionValue(after, option),
  );
  const isOurs = (option: SocketOptionName): boolean =>
    optionValue(now, option) === optionValue(after, option);
  const changes = changed.filter(isOurs).map((option) => ({ option, value: optionValue(before, option) }));
  const isOff = (change: SocketOptionChange): boolean =>
    change.option === "SO_KEEPALIVE" && change.value === 0;
  return {
    changes: [...changes.filter(isOff), ...changes.filter((change) => !isOff(change))],
    foreign: changed.filter(
      (option) => !isOurs(option) && optionValue(now, option) !== optionValue(before, option),
    ),
  };
}

export interface RestorePlan {
  readonly changes: readonly SocketOptionChange[];
  /** Changed by somebody else since: left alone. */
  readonly foreign: readonly SocketOptionName[];
}

const RESTORE_ORDER: readonly SocketOptionName[] = [
  "TCP_KEEPINTVL",
  "TCP_KEEPCNT",
  "TCP_KEEPIDLE",
  "SO_KEEPALIVE",
  "TCP_USER_TIMEOUT",
];

const UNITS: Readonly<Record<SocketOptionName, string>> = {
  SO_KEEPALIVE: "",
  TCP_KEEPIDLE: "s",
  TCP_KEEPINTVL: "s",
  TCP_KEEPCNT: "",
  TCP_USER_TIMEOUT: "ms",
};

/** `SO_KEEPALIVE on, TCP_KEEPIDLE 60s`. */
export function formatChanges(changes: readonly SocketOptionChange[]): string {
  return changes
    .map(({ option, value }) =>
      option === "SO_KEEPALIVE"
        ? `${option} ${value === 0 ? "off" : "on"}`
        : `${option} ${value}${UNITS[option]}`,
    )
    .join(", ");
}
