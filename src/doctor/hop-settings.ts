/**
 * The settings of a hop as an operator writes them, and the hop that they make. A setting keeps its text, the product's own word
 * for it and where it was read, so that `holdfast predict` can show all three beside the simulated value. Pure.
 * The catalogue, PATH.yaml, the command line and the readers of configuration files all end here, in `buildHop()`.
 * Values are checked by `readField()` when they are read; `buildHop()` trusts them.
 */
import { DURATION_HINT, parseDurationMs } from "../config/duration.ts";
import { type Parsed, parsed, quoted, refused } from "../config/parsed.ts";
import {
  LINUX_TCP_KEEPALIVE_DEFAULTS,
  parseSoKeepalive,
  SO_KEEPALIVE_COUNT_MAX,
  type TcpKeepaliveSystemDefaults,
} from "../tcp/so-keepalive.ts";
import type { Hop, HopSource, HopTcpKeepalive, PacketBoxHop, ProxyHop, TcpEnd } from "./hop.ts";

/** What a network namespace gives to sockets that set nothing themselves. */
export interface KernelDefaults {
  readonly tcpKeepalive: TcpKeepaliveSystemDefaults;
  readonly tcpRetries2: number;
}

export const LINUX_KERNEL_DEFAULTS: KernelDefaults = {
  tcpKeepalive: LINUX_TCP_KEEPALIVE_DEFAULTS,
  tcpRetries2: 15,
};

type FieldType =
  | {
      readonly type: "duration";
      readonly minMs: number;
      readonly canBeNever: boolean;
      readonly canBeAuto?: boolean;
    }
  | { readonly type: "so_keepalive" }
  | { readonly type: "integer"; readonly min: number; readonly max: number }
  | { readonly type: "word"; readonly words: readonly string[] };

const time: FieldType = { type: "duration", minMs: 1, canBeNever: true };
const timeOrZero: FieldType = { type: "duration", minMs: 0, canBeNever: true };
/** `auto`: Holdfast learns the server's own time-out and lets go first; path-resolution.ts puts the number in. */
const timeZeroOrAuto: FieldType = { type: "duration", minMs: 0, canBeNever: true, canBeAuto: true };
const userTimeout: FieldType = { type: "duration", minMs: 0, canBeNever: false };
const seconds: FieldType = { type: "duration", minMs: 1000, canBeNever: false };
const soKeepalive: FieldType = { type: "so_keepalive" };
const probeCount: FieldType = { type: "integer", min: 1, max: SO_KEEPALIVE_COUNT_MAX };
const retries2: FieldType = { type: "integer", min: 0, max: 255 };
const word = (...words: string[]): FieldType => ({ type: "word", words });

/** Every field, by kind of hop, in the order in which they are shown. Products' own words for them are in the catalogue. */
export const FIELDS = {
  "end-point": {
    so_keepalive: soKeepalive,
    keepalive_idle: seconds,
    keepalive_interval: seconds,
    keepalive_count: probeCount,
    tcp_user_timeout: userTimeout,
    tcp_retries2: retries2,
    idle_timeout: timeOrZero,
    response_timeout: time,
    ping_interval: time,
  },
  "packet-box": {
    timeout: time,
    half_closed: time,
    unanswered: time,
    at_expiry: word("silent", "reset-both"),
    from_client: word("drop", "reset", "adopt"),
    from_server: word("drop", "reset", "adopt"),
  },
  proxy: {
    protocol: word("http", "tcp"),
    client_so_keepalive: soKeepalive,
    client_keepalive_idle: seconds,
    client_keepalive_interval: seconds,
    client_keepalive_count: probeCount,
    client_user_timeout: userTimeout,
    client_idle_timeout: timeOrZero,
    server_so_keepalive: soKeepalive,
    server_keepalive_idle: seconds,
    server_keepalive_interval: seconds,
    server_keepalive_count: probeCount,
    server_user_timeout: userTimeout,
    server_timeout: time,
    upstream_idle_timeout: timeZeroOrAuto,
    half_closed: timeOrZero,
    on_server_timeout: word("error-response", "close", "reset"),
    on_client_timeout: word("close", "reset"),
    passes_reset_as: word("reset", "close", "error-response"),
    tcp_retries2: retries2,
  },
} as const satisfies Record<Hop["kind"], Readonly<Record<string, FieldType>>>;

export type HopKind = Hop["kind"];

/** One value as written, with the word that its product has for it. */
export interface Setting {
  readonly label: string;
  /** In the spelling of this file: durations with units, `never`, the so_keepalive grammar, words. */
  readonly text: string;
  readonly source: HopSource;
}

export type Settings = Readonly<Record<string, Setting>>;

/** A hop and what it was made of, for the eyes of a person. */
export interface DescribedHop {
  readonly hop: Hop;
  readonly settings: Settings;
  /** What a value cannot say: persistence, a choice that was made, a trap. */
  readonly notes: readonly string[];
}

export function fieldsOf(kind: HopKind): readonly string[] {
  return Object.keys(FIELDS[kind]);
}

/** Checks a value for a field; the result is its normal spelling. */
export function readField(kind: HopKind, field: string, raw: unknown): Parsed<string> {
  const type = fieldType(kind, field);
  switch (type.type) {
    case "duration":
      return readDuration(type, raw);
    case "so_keepalive": {
      const text = raw === true ? "on" : raw === false ? "off" : String(raw);
      const result = parseSoKeepalive(text);
      return result.ok ? parsed(text) : result;
    }
    case "integer": {
      const number = typeof raw === "string" && /^\d{1,9}$/.test(raw) ? Number(raw) : raw;
      const isGood = typeof number === "number" && Number.isInteger(number);
      return isGood && number >= type.min && number <= type.max
        ? parsed(String(number))
        : refused(`${quoted(raw)} is not a whole number from ${type.min} to ${type.max}`);
    }
    case "word":
      return typeof raw === "string" && type.words.includes(raw)
        ? parsed(raw)
        : refused(
            `${quoted(raw)} is not one of ${type.words.join(", ")}`,
            `write ${type.words.join(" or ")}`,
          );
  }
}

function readDuration(type: FieldType & { type: "duration" }, raw: unknown): Parsed<string> {
  if (type.canBeNever && (raw === "never" || raw === false || raw === "off")) return parsed("never");
  if (type.canBeAuto === true && raw === "auto") return parsed("auto");
  const result = parseDurationMs(raw, DURATION_RANGE);
  if (!result.ok) {
    const hint =
      type.canBeNever && result.hint === DURATION_HINT ? `${DURATION_HINT}; never is allowed` : result.hint;
    return { ...result, ...(hint === undefined ? {} : { hint }) };
  }
  if (result.value < type.minMs) {
    const hint = type.canBeNever ? "write never when there is no time-out" : undefined;
    return refused(`${quoted(raw)} is too short: at least ${type.minMs} ms`, hint);
  }
  const text = String(raw).trim();
  return parsed(/^\d+$/.test(text) ? `${text}s` : text);
}

/** Other people's files say "1y" when they mean never. */
const DURATION_RANGE = { minMs: 0, maxMs: 100 * 365 * 86_400_000 };

/** For editors: the JSON Schema of a field. */
export function fieldJsonSchema(kind: HopKind, field: string): Readonly<Record<string, unknown>> {
  const type = fieldType(kind, field);
  if (type.type === "word") return { enum: type.words };
  if (type.type === "integer") return { type: "integer", minimum: type.min, maximum: type.max };
  return { type: ["string", "integer", "boolean"], description: FIELD_FORMS[type.type] };
}

const FIELD_FORMS = {
  duration: "a duration such as 350s, 5m or 1h30m",
  so_keepalive: "on, off or idle:interval:count such as 60s:10s:6",
};

export function buildHop(
  kind: HopKind,
  name: string,
  settings: Settings,
  source: HopSource,
  kernel: KernelDefaults = LINUX_KERNEL_DEFAULTS,
): Hop {
  const value = new SettingValues(settings, kernel);
  switch (kind) {
    case "end-point":
      return {
        kind,
        name,
        tcp: value.tcpEnd("", "tcp_user_timeout"),
        idleTimeoutMs: value.durationMs("idle_timeout"),
        responseTimeoutMs: value.durationMs("response_timeout"),
        pingIntervalMs: value.durationMs("ping_interval"),
        source,
      };
    case "packet-box":
      return buildPacketBox(name, value, source);
    case "proxy":
      return buildProxy(name, value, source);
  }
}

function buildPacketBox(name: string, value: SettingValues, source: HopSource): PacketBoxHop {
  return {
    kind: "packet-box",
    name,
    timeouts: {
      establishedMs: value.durationMs("timeout"),
      halfClosedMs: value.durationMs("half_closed"),
      unansweredMs: value.durationMs("unanswered"),
    },
    atExpiry: value.word("at_expiry", "silent"),
    afterExpiry: {
      fromClient: value.word("from_client", "drop"),
      fromServer: value.word("from_server", "drop"),
    },
    source,
  };
}

function buildProxy(name: string, value: SettingValues, source: HopSource): ProxyHop {
  const protocol: ProxyHop["protocol"] = value.word("protocol", "http");
  return {
    kind: "proxy",
    name,
    protocol,
    clientSide: value.tcpEnd("client_", "client_user_timeout"),
    serverSide: value.tcpEnd("server_", "server_user_timeout"),
    clientIdleTimeoutMs: value.durationMs("client_idle_timeout"),
    serverIdleTimeoutMs: value.durationMs("server_timeout"),
    upstreamIdleTimeoutMs: value.durationMs("upstream_idle_timeout"),
    halfClosedTimeoutMs: value.durationMs("half_closed"),
    onServerTimeout: value.word("on_server_timeout", protocol === "http" ? "error-response" : "close"),
    onClientTimeout: value.word("on_client_timeout", "close"),
    passesResetAs: value.word("passes_reset_as", protocol === "http" ? "error-response" : "close"),
    source,
  };
}

/** Reads checked settings; a bad one is our own mistake. */
class SettingValues {
  readonly #settings: Settings;
  readonly #kernel: KernelDefaults;

  constructor(settings: Settings, kernel: KernelDefaults) {
    this.#settings = settings;
    this.#kernel = kernel;
  }

  durationMs(field: string): number | undefined {
    const text = this.#settings[field]?.text;
    return text === undefined || text === "never" || text === "auto"
      ? undefined
      : good(parseDurationMs(text, DURATION_RANGE), field);
  }

  word<Word extends string>(field: string, otherwise: Word): Word {
    return (this.#settings[field]?.text as Word | undefined) ?? otherwise;
  }

  tcpEnd(prefix: "" | "client_" | "server_", userTimeoutField: string): TcpEnd {
    const retries = this.#settings.tcp_retries2?.text;
    return {
      keepalive: this.#tcpKeepalive(prefix),
      userTimeoutMs: this.durationMs(userTimeoutField) ?? 0,
      retransmissionTimeoutMs: retransmissionTimeoutMs(
        retries === undefined ? this.#kernel.tcpRetries2 : Number(retries),
      ),
    };
  }

  /** The parts (`keepalive_idle`, …) count only where SO_KEEPALIVE is on, as for the kernel. */
  #tcpKeepalive(prefix: string): HopTcpKeepalive | undefined {
    const text = this.#settings[`${prefix}so_keepalive`]?.text ?? "off";
    const value = good(parseSoKeepalive(text), `${prefix}so_keepalive`);
    if (value.enabled !== true) return undefined;
    const system = this.#kernel.tcpKeepalive;
    const count = this.#settings[`${prefix}keepalive_count`]?.text;
    return {
      idleMs: this.durationMs(`${prefix}keepalive_idle`) ?? (value.idleSeconds ?? system.idleSeconds) * 1000,
      intervalMs:
        this.durationMs(`${prefix}keepalive_interval`) ??
        (value.intervalSeconds ?? system.intervalSeconds) * 1000,
      probeCount: count === undefined ? (value.probeCount ?? system.probeCount) : Number(count),
    };
  }
}

/**
 * How long the kernel sends unacknowledged data again: tcp_model_timeout() of net/ipv4/tcp_timer.c, from 200 ms, doubling up
 * to 120 s. 15, the default, makes 924.6 s.
 */
export function retransmissionTimeoutMs(tcpRetries2: number): number {
  const doublings = 9; // ilog2(TCP_RTO_MAX / TCP_RTO_MIN)
  if (tcpRetries2 <= doublings) return (2 ** (tcpRetries2 + 1) - 1) * 200;
  return (2 ** (doublings + 1) - 1) * 200 + (tcpRetries2 - doublings) * 120_000;
}

function fieldType(kind: HopKind, field: string): FieldType {
  const fields: Readonly<Record<string, FieldType>> = FIELDS[kind];
  if (!Object.hasOwn(fields, field)) throw new Error(`a ${kind} has no field ${field}`);
  return fields[field]!;
}

function good<Value>(result: Parsed<Value>, field: string): Value {
  if (!result.ok) throw new Error(`${field}: ${result.reason}: was not checked with readField()`);
  return result.value;
}
