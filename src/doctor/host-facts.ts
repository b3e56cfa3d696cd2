/**
 * What `holdfast doctor` knows about a host before it judges: plain values, read by host-facts-reader.ts, judged by findings*.ts and
 * node-traps.ts. Pure. undefined = could not be read.
 */
import type { RouterStatus } from "../observe/router-status.ts";
import type { StatusDocument } from "../observe/status.ts";
import type { TcpSysctls } from "./detection-time.ts";
import type { JudgedSocket } from "./socket-filter.ts";

export interface KernelVersion {
  readonly release: string;
  readonly major: number;
  readonly minor: number;
}

export interface HostFacts {
  readonly kernel: KernelVersion;
  readonly isRoot: boolean;
  /** Of this process, by name (CAP_…). */
  readonly capabilities: ReadonlySet<string>;
  /** By the name of sysctl(8); those that this kernel does not have are missing. */
  readonly sysctls: ReadonlyMap<string, string>;
  /** SOCK_DIAG answered; otherwise why not. */
  readonly socketTableProblem: string | undefined;
  readonly sockets: readonly JudgedSocket[];
  readonly tcpSysctls: TcpSysctls;
  /** /proc/net/netstat and snmp, since boot: `TcpExt.ListenOverflows`. */
  readonly counters: ReadonlyMap<string, number>;
  readonly nodeProcesses: readonly NodeProcess[];
  readonly cgroup2Directory: string | undefined;
  readonly gateway: GatewayReport | undefined;
  /** Why a part is missing, one sentence each; empty: the page is whole. */
  readonly gaps: readonly string[];
}

export interface NodeProcess {
  readonly pid: number;
  /** The script, or the first words of its command line. */
  readonly title: string;
  /** This gateway's own processes set their options by configuration. */
  readonly isHoldfast: boolean;
}

/** What the running gateway says about itself. */
export interface GatewayReport {
  readonly address: string;
  readonly status: StatusDocument;
  /** Of its configuration file, as `holdfast check` prints them; undefined: the file could not be read. */
  readonly warnings: readonly string[] | undefined;
  /** Legs without TCP keepalive: `listener web`, `pool db`. */
  readonly legsWithoutKeepalive: readonly string[];
  readonly sessionsAboutToExpire: number;
  /** Of a look a moment before `status`, to see which counters rise; undefined: there was none. */
  readonly routersEarlier: readonly RouterStatus[] | undefined;
}

export type Severity = "problem" | "risk" | "note";

/** Something a person should know, and the command that mends it. */
export interface Finding {
  /** Stable. */
  readonly id: string;
  readonly severity: Severity;
  readonly text: string;
  /** A command, or what to change where no command does it; undefined: nothing to do. */
  readonly mend: string | undefined;
}

export interface Ability {
  readonly id: string;
  readonly title: string;
  readonly works: boolean;
  /** Works for our own processes alone, and so on; or what is missing and how to get it. */
  readonly remark: string | undefined;
}

export interface SysctlJudgement {
  readonly name: string;
  readonly value: string;
  readonly remark: string;
  readonly isGood: boolean;
}
