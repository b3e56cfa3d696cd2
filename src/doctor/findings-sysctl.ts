/**
 * The kernel settings that decide how long dead connections live, judged. Pure. tcp(7), ip(7), nf_conntrack-sysctl; all of
 * net.ipv4.* are those of this network namespace: a container does not inherit the host's (kubernetes #71358).
 */

import { retransmissionTimeoutMs } from "./hop-settings.ts";
import type { Finding, HostFacts, SysctlJudgement } from "./host-facts.ts";
import { spokenDuration } from "./spoken-duration.ts";

type SysctlFacts = Pick<HostFacts, "sysctls" | "counters">;

interface Judgement {
  readonly remark: string;
  readonly finding?: Omit<Finding, "id">;
}

type Judge = (value: string, facts: SysctlFacts) => Judgement;

/** NAT gateways, NLB and EC2's connection tracking forget after 350 s; few boxes that matter are faster. */
const COMMON_BOX_SECONDS = 350;

const seconds = (value: string): string => spokenDuration(Number(value) * 1000);

/** The order in which they are shown. */
const JUDGES: Readonly<Record<string, Judge>> = {
  "net.ipv4.tcp_keepalive_time": (value) => {
    const remark = `first probe after ${seconds(value)}, for programs that turn SO_KEEPALIVE on and set no time`;
    if (Number(value) < COMMON_BOX_SECONDS) return { remark };
    return {
      remark,
      finding: {
        severity: "note",
        text: `tcp_keepalive_time is ${seconds(value)}: programs that only turn SO_KEEPALIVE on probe later than NAT gateways and load balancers forget (350 s)`,
        mend: "sysctl -w net.ipv4.tcp_keepalive_time=120 net.ipv4.tcp_keepalive_intvl=30 net.ipv4.tcp_keepalive_probes=4",
      },
    };
  },
  "net.ipv4.tcp_keepalive_intvl": (value) => ({ remark: `${seconds(value)} between unanswered probes` }),
  "net.ipv4.tcp_keepalive_probes": (value) => ({ remark: `${value} unanswered probes end a connection` }),
  "net.ipv4.tcp_retries2": (value) => {
    const giveUpMs = retransmissionTimeoutMs(Number(value));
    const remark = `with data in flight a dead peer is noticed after about ${spokenDuration(giveUpMs)}; TCP keepalive is silent meanwhile`;
    if (giveUpMs < 600_000) return { remark };
    return {
      remark,
      finding: {
        severity: "note",
        text: `a peer that vanishes while data is in flight is noticed only after about ${spokenDuration(giveUpMs)} (tcp_retries2 = ${value}), whatever TCP keepalive says`,
        mend: "set TCP_USER_TIMEOUT in the programs that matter (holdfast enable SELECTOR --tcp-user-timeout 60s), or sysctl -w net.ipv4.tcp_retries2=8 (about 100 s, the least that RFC 1122 §4.2.3.5 allows)",
      },
    };
  },
  "net.ipv4.tcp_fin_timeout": (value) => ({
    remark: `closed connections wait ${seconds(value)} for the peer's FIN`,
  }),
  "net.ipv4.ip_local_port_range": (value) => {
    const [low = 0, high = 0] = value.split(/\s+/).map(Number);
    const remark = `${high - low + 1} connections to one address and port of a server`;
    if (high - low + 1 >= 15_000) return { remark };
    return {
      remark,
      finding: {
        severity: "risk",
        text: `only ${high - low + 1} local ports: connections to one server run out early, TIME_WAIT included`,
        mend: 'sysctl -w net.ipv4.ip_local_port_range="10240 60999"',
      },
    };
  },
  "net.core.somaxconn": (value, { counters }) => {
    const overflows = counters.get("TcpExt.ListenOverflows") ?? 0;
    const remark = `at most ${value} connections wait for accept(2); ${overflows} found a full queue since boot`;
    if (overflows === 0) return { remark };
    return {
      remark,
      finding: {
        severity: "risk",
        text: `${overflows} connections found a full accept queue since boot (TcpExt ListenOverflows): clients retry or hang`,
        mend: `find the listener with ss -ltn (Recv-Q near Send-Q); a larger backlog in its program, and sysctl -w net.core.somaxconn=${Math.max(8192, Number(value) * 2)}`,
      },
    };
  },
  "net.ipv4.tcp_abort_on_overflow": (value) =>
    value === "0"
      ? { remark: "a full accept queue lets clients retry" }
      : {
          remark: "a full accept queue resets clients",
          finding: {
            severity: "risk",
            text: "tcp_abort_on_overflow is on: a short burst resets clients that a retry would have served",
            mend: "sysctl -w net.ipv4.tcp_abort_on_overflow=0",
          },
        },
  "net.netfilter.nf_conntrack_tcp_timeout_established": (value, facts) => {
    const idle = Number(facts.sysctls.get("net.ipv4.tcp_keepalive_time") ?? "7200");
    const remark = `this host's connection tracking forgets idle connections after ${seconds(value)}`;
    if (Number(value) > idle) return { remark };
    return {
      remark,
      finding: {
        severity: "risk",
        text: `this host's own connection tracking forgets idle connections after ${seconds(value)}, before the first keepalive probe of a program that sets no time (${seconds(String(idle))})`,
        mend: "sysctl -w net.netfilter.nf_conntrack_tcp_timeout_established=86400, or a shorter tcp_keepalive_time",
      },
    };
  },
  "net.netfilter.nf_conntrack_tcp_loose": (value) => ({
    remark:
      value === "0"
        ? "a forgotten connection is not taken up again"
        : "a forgotten connection is taken up again by its next packet, unless rules drop it",
  }),
  "net.netfilter.nf_conntrack_count": (value, { sysctls }) => {
    const max = Number(sysctls.get("net.netfilter.nf_conntrack_max") ?? "0");
    const remark = `${value} of ${max} entries in use`;
    if (max === 0 || Number(value) < max * 0.8) return { remark };
    return {
      remark,
      finding: {
        severity: "problem",
        text: `the connection tracking table is nearly full (${value} of ${max}): new connections will be dropped`,
        mend: `sysctl -w net.netfilter.nf_conntrack_max=${max * 2}`,
      },
    };
  },
  "net.ipv4.ip_nonlocal_bind": (value) => ({
    remark:
      value === "0"
        ? "a listener cannot bind a virtual address that another node holds"
        : "virtual addresses can be bound before they arrive",
  }),
  "net.ipv4.conf.all.promote_secondaries": (value) => ({
    remark:
      value === "0"
        ? "removing an interface's first address removes the others of its network"
        : "other addresses survive the removal of the first",
  }),
};

/** Read as well, for the judges above and the abilities. */
export const SYSCTL_NAMES: readonly string[] = [
  ...Object.keys(JUDGES),
  "net.netfilter.nf_conntrack_max",
  "net.ipv4.ip_unprivileged_port_start",
  "kernel.yama.ptrace_scope",
];

export function judgeSysctls(facts: SysctlFacts): {
  readonly judgements: readonly SysctlJudgement[];
  readonly findings: readonly Finding[];
} {
  const judgements: SysctlJudgement[] = [];
  const findings: Finding[] = [];
  for (const [name, judge] of Object.entries(JUDGES)) {
    const value = facts.sysctls.get(name);
    if (value === undefined) continue;
    const { remark, finding } = judge(value, facts);
    judgements.push({ name, value, remark, isGood: finding === undefined });
    if (finding !== undefined)
      findings.push({ id: `sysctl-${name.slice(name.lastIndexOf(".") + 1)}`, ...finding });
  }
  return { judgements, findings };
}
