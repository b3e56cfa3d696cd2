/**
 * What of the doctor and the gateway works on this host with the privileges at hand, and what is missing for the rest. Pure.
 * The versions are those of the manual pages: pidfd_getfd(2) 5.6, bpf_setsockopt() of keepalive options in sock_ops 5.9.
 */
import type { Ability, HostFacts, KernelVersion } from "./host-facts.ts";

type AbilityFacts = Pick<
  HostFacts,
  "kernel" | "isRoot" | "capabilities" | "sysctls" | "socketTableProblem" | "cgroup2Directory"
>;

export function abilitiesOf(facts: AbilityFacts): Ability[] {
  return [
    socketTable(facts),
    borrowing(facts),
    ability("foreign-processes", "see whose sockets those of other users are", [
      has(facts, "CAP_SYS_PTRACE", "see only your own processes"),
    ]),
    ability("namespaces", "look into network namespaces of containers (--pid, --netns)", [
      has(facts, "CAP_SYS_ADMIN", "see only this namespace"),
    ]),
    newSockets(facts),
    ability("measure", "measure idle time-outs of paths", []),
    ability("forget", "forget sessions without a word (on_idle: silent, TCP_REPAIR)", [
      has(facts, "CAP_NET_ADMIN", "the gateway resets them instead"),
    ]),
    lowPorts(facts),
  ];
}

function ability(id: string, title: string, obstacles: readonly (string | undefined)[]): Ability {
  const found = obstacles.filter((it) => it !== undefined);
  return { id, title, works: found.length === 0, remark: found.length === 0 ? undefined : found.join("; ") };
}

function has(facts: AbilityFacts, capability: string, otherwise: string): string | undefined {
  return facts.capabilities.has(capability) ? undefined : `needs ${capability} (sudo); ${otherwise}`;
}

function since(kernel: KernelVersion, major: number, minor: number): string | undefined {
  const isOld = kernel.major < major || (kernel.major === major && kernel.minor < minor);
  return isOld ? `needs Linux ${major}.${minor}, this is ${kernel.release}` : undefined;
}

function socketTable({ socketTableProblem }: AbilityFacts): Ability {
  return ability("sockets", "list sockets (sock_diag over netlink)", [socketTableProblem]);
}

/** ptrace(2) "PTRACE_MODE_ATTACH_REALCREDS": same user and dumpable, and what Yama allows; CAP_SYS_PTRACE passes but for scope 3. */
function borrowing(facts: AbilityFacts): Ability {
  const title = "read and change options of running programs (probe, enable; pidfd_getfd)";
  const scope = Number(facts.sysctls.get("kernel.yama.ptrace_scope") ?? "0");
  const old = since(facts.kernel, 5, 6);
  if (old !== undefined) return ability("borrow", title, [old]);
  if (scope >= 3)
    return ability("borrow", title, ["kernel.yama.ptrace_scope=3 forbids it until the next boot"]);
  if (facts.capabilities.has("CAP_SYS_PTRACE")) return ability("borrow", title, []);
  if (scope > 0)
    return ability("borrow", title, [
      `kernel.yama.ptrace_scope=${scope} forbids it without CAP_SYS_PTRACE: use sudo, or sysctl -w kernel.yama.ptrace_scope=0`,
    ]);
  return {
    id: "borrow",
    title,
    works: true,
    remark: "of your own programs; those of others need CAP_SYS_PTRACE (sudo)",
  };
}

function newSockets(facts: AbilityFacts): Ability {
  const hasBpf =
    facts.capabilities.has("CAP_SYS_ADMIN") ||
    (facts.capabilities.has("CAP_BPF") && facts.capabilities.has("CAP_NET_ADMIN"));
  return ability(
    "new-sockets",
    "set keepalive for future connections of a cgroup (enable --new-sockets; eBPF)",
    [
      since(facts.kernel, 5, 9),
      facts.cgroup2Directory === undefined
        ? "needs cgroup v2: mount -t cgroup2 none /sys/fs/cgroup, or boot with systemd.unified_cgroup_hierarchy=1"
        : undefined,
      hasBpf ? undefined : "needs CAP_BPF and CAP_NET_ADMIN (sudo)",
    ],
  );
}

function lowPorts(facts: AbilityFacts): Ability {
  const first = Number(facts.sysctls.get("net.ipv4.ip_unprivileged_port_start") ?? "1024");
  const isFree = facts.capabilities.has("CAP_NET_BIND_SERVICE") || first <= 80;
  return ability("low-ports", "listen on ports below 1024", [
    isFree
      ? undefined
      : "needs CAP_NET_BIND_SERVICE (sudo, or AmbientCapabilities= in the unit), or sysctl -w net.ipv4.ip_unprivileged_port_start=80",
  ]);
}
