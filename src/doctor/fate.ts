/**
 * What happens to a connection over time: the scenarios that `holdfast predict` plays and the timeline it answers with.
 * Pure values; simulation.ts makes them, cli/predict-*.ts shows them, tests compare them with real kernels.
 */

export type Scenario =
  /** A connection with nothing to say, after one exchange at time 0. When `thenSpeaks` is given, that end sends payload at `atMs`. */
  | { readonly kind: "idle"; readonly atMs?: number; readonly thenSpeaks?: "client" | "server" }
  /** The client asked at time 0; the server's answer comes after so long. */
  | { readonly kind: "slow-response"; readonly responseTimeMs: number }
  /** One end has sent FIN at time 0, the other keeps its side open and sends payload at `atMs`. */
  | { readonly kind: "half-closed"; readonly endedBy: "client" | "server"; readonly atMs: number }
  /** The host of one end vanishes without a packet at time 0, the connection idle. */
  | { readonly kind: "host-dies-idle"; readonly who: "client" | "server" }
  /** As before, while the other end has sent data that is not acknowledged. */
  | { readonly kind: "host-dies-in-flight"; readonly who: "client" | "server" };

export type Errno = "ETIMEDOUT" | "ECONNRESET" | "EPIPE" | "EHOSTUNREACH" | "ECONNABORTED";

/** One line of the timeline. */
export interface FateEvent {
  readonly atMs: number;
  /** Index of the hop that acts, in Path.hops. */
  readonly hop: number;
  /** Leg, counted from the client, where it concerns one. */
  readonly leg: number | undefined;
  readonly what:
    | "sends-payload"
    | "sends-probe"
    | "probe-answered"
    | "probe-lost"
    | "retransmits"
    | "forgets"
    | "adopts"
    | "drops-packet"
    | "sends-reset"
    | "sends-fin"
    | "gets-reset"
    | "gets-fin"
    | "gets-error"
    | "gives-up"
    | "answers-error"
    | "gets-answer";
  /** What the application is told, where it is told something. */
  readonly errno: Errno | undefined;
  /** One sentence for humans. */
  readonly text: string;
  /** For packets: index of the hop where it ends: the other end of the leg, or the box that drops or answers it. */
  readonly to?: number;
  /** The last of a run of like events (probes, retransmissions) whose middle is left out. `count` has the first and this one in it. */
  readonly folded?: { readonly count: number; readonly sinceMs: number };
}

/** What became of one end of one leg. A host that vanished has none: nobody is there to learn anything. */
export interface EndFate {
  readonly hop: number;
  readonly leg: number;
  /** When its application learns that the connection is gone; undefined: it never does. */
  readonly learnsAtMs: number | undefined;
  readonly how: "fin" | "reset" | "error" | "own-timeout" | "error-response" | "never" | "still-alive";
  readonly errno: Errno | undefined;
}

export interface Fate {
  readonly scenario: Scenario;
  readonly events: readonly FateEvent[];
  readonly ends: readonly EndFate[];
  /** Index of the hop whose state ended first and caused what followed; undefined: the connection lives. */
  readonly culprit: number | undefined;
  /** One sentence: "lvs (hop 2) forgets the connection after 90 s and resets both ends while the server still computes". */
  readonly verdict: string;
  readonly isHealthy: boolean;
  /** Simulated until then. */
  readonly untilMs: number;
}

/** One value on one hop that would mend the path, checked by simulating again. */
export interface Remedy {
  readonly hop: number;
  /** "so_keepalive of nginx towards the client", … */
  readonly setting: string;
  readonly from: string;
  readonly to: string;
  /** How to write it in that hop's own configuration, where known: `proxy_read_timeout 130s;` */
  readonly directive: string | undefined;
  /** Scenarios that it mends, and that stay broken. */
  readonly mends: readonly Scenario["kind"][];
  readonly leavesBroken: readonly Scenario["kind"][];
  readonly cost: string;
}

/** Two hops whose settings contradict each other, whatever the traffic. */
export interface Contradiction {
  readonly hops: readonly number[];
  /** Stable name: `pool-outlives-server`, `probes-never-reach-the-box`, `user-timeout-below-idle`, … */
  readonly rule: string;
  readonly severity: "warning" | "error";
  readonly text: string;
  readonly fix: string;
}
