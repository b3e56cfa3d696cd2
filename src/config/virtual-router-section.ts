/**
 * `virtual_routers.NAME`: every key with its default and meaning, the short forms (`preempt: false`, `gateway: off`, an interface's name
 * alone), and the plain `VirtualRouterConfig` that comes of them. Pure. Part of schema.ts, which is the place to begin; what lies
 * between keys is judged by virtual-router-findings.ts (errors) and virtual-router-lint.ts (warnings).
 */
import { parseCidr, parseIpAddress } from "./address.ts";
import { formatDuration, parseDurationMs } from "./duration.ts";
import { commandKind } from "./health-section.ts";
import { type Parsed, parsed, quoted, refused } from "./parsed.ts";
import {
  absent,
  boolean,
  duration,
  durationOr,
  integer,
  list,
  mayBeEmpty,
  named,
  oneOf,
  optional,
  orNone,
  parseName,
  required,
  section,
  shortened,
  switchOr,
  text,
  type ValueKind,
  value,
} from "./schema-kit.ts";
import type { AddressPrefix, TrackConfig, VirtualRouterConfig } from "./types.ts";

/** Version 3 counts in centiseconds, version 2 in seconds: RFC 9568 §5.2.7, RFC 3768 §5.3.7. */
export const V3_INTERVAL_MS_MAX = 40_950;
export const V2_INTERVAL_MS_MAX = 255_000;

const NAME_OF_INTERFACE_CHARACTERS_MAX = 15; // IFNAMSIZ with its NUL, netdevice(7)
const GATEWAY_TIMEOUT = "3s";
const GATEWAY_TIMEOUT_MS = 3000;
const LEASE_MS_MAX = 86_400_000;
const CHECK_TIMEOUT_MS = 1000;
const TIMER = { minMs: 10 };

const interfaceName = text("name of an interface", parseInterface);
const addressList = (entriesMin: number) =>
  list(text("address with prefix length", parseAddressPrefix), {
    type: "address or list of addresses",
    entriesMin,
    mayBeSingle: true,
  });

const WEIGHT_DOC = {
  meaning:
    "0: the router is in fault while this is down. Negative: added to the priority while it is down. Positive: added while it is up. The result stays within 1 to 254; priority 255 knows no weights.",
  alike: "keepalived `weight`",
};
const weight = () => optional(integer(-253, 253), 0, WEIGHT_DOC);

const trackedInterface = section({
  interface: required(interfaceName, { meaning: "Its carrier and its administrative state are followed." }),
  weight: weight(),
  down_delay: optional(duration(), 0, {
    meaning: "How long it must be down before that counts.",
    alike: "keepalived `interface_up_down_delays`",
  }),
  up_delay: optional(duration(), 0, {
    meaning: "How long it must be up again before that counts.",
    alike: "keepalived `interface_up_down_delays`",
  }),
});

const trackedPool = section({
  below: optional(integer(1, 100_000), 1, {
    meaning: "The pool counts as down while fewer servers than this are usable.",
    alike: "keepalived `quorum`",
  }),
  weight: weight(),
});

const trackedCheck = section({
  exec: required(commandKind(), {
    meaning: "A program that must exit with 0 within timeout; its output is kept as the reason.",
    alike: "keepalived `vrrp_script { script }`",
  }),
  interval: optional(duration(TIMER), "2s", {
    meaning: "Time between the beginnings of two runs; two never run at once.",
    alike: "keepalived `interval`",
  }),
  timeout: absent(duration(TIMER), {
    meaning: "How long one run may take. Then its process group is killed and the run has failed.",
    defaultText: "`1s`, at most half of interval",
    alike: "keepalived `timeout`",
  }),
  rise: optional(integer(1, 1000), 2, {
    meaning: "Runs in a row that must succeed until the check is up.",
    alike: "keepalived `rise`",
  }),
  fall: optional(integer(1, 1000), 3, {
    meaning: "Runs in a row that must fail until the check is down.",
    alike: "keepalived `fall`",
  }),
  weight: weight(),
});

const trackSection = section({
  interfaces: optional(
    list(shortened(trackedInterface, "interface"), { type: "list of interfaces", entriesMin: 0 }),
    [],
    {
      meaning:
        "Interfaces besides the router's own, which is always tracked: list it only for an `up_delay`.",
      alike: "keepalived `track_interface`",
    },
  ),
  pools: orNone(named(mayBeEmpty(trackedPool)), {
    meaning: "Pools of this file: the address goes where the servers can be reached.",
  }),
  checks: orNone(named(shortened(trackedCheck, "exec")), {
    meaning: "Programs that are run at intervals, by name.",
    alike: "keepalived `track_script`",
  }),
  gateway: absent(
    switchOr(
      section({
        weight: weight(),
        timeout: optional(duration(TIMER), GATEWAY_TIMEOUT, {
          meaning: "How long the workers may leave a question unanswered.",
        }),
      }),
    ),
    {
      meaning: "The gateway's own workers: at least one must answer.",
      defaultText: "`on` when the file has listeners",
    },
  ),
});

const announceSection = section({
  repeat: optional(integer(1, 100), 5, {
    meaning: "How often each address is announced on becoming active, and again after delay.",
    alike: "keepalived `garp_master_repeat`",
  }),
  repeat_interval: optional(duration({ maxMs: 60_000 }), 0, {
    meaning: "Pause between two announcements of a round.",
    alike: "keepalived `garp_interval`",
  }),
  delay: optional(duration({ maxMs: 3_600_000 }), "5s", {
    meaning: "When the second round follows the first. 0: there is none.",
    alike: "keepalived `garp_master_delay`",
  }),
  refresh: optional(duration(), 0, {
    meaning: "While active, one announcement at this interval. 0: none.",
    alike: "keepalived `garp_master_refresh`",
  }),
});

const authSection = section(
  {
    pass: required(text("text", parsePass), {
      meaning: "Up to 8 characters, sent in the clear: it guards against mistakes, not against attackers.",
      alike: "keepalived `auth_pass`",
    }),
  },
  { notMapHint: "write auth: { pass: PASSWORD }" },
);

const preemptKind = switchOr(
  section({
    delay: optional(duration(), 0, {
      meaning: "How long after start or recovery the router waits before it preempts.",
      alike: "keepalived `preempt_delay`",
    }),
  }),
);

const routerSection = section({
  interface: required(interfaceName, {
    meaning: "Where the advertisements are sent and the addresses live.",
    alike: "keepalived `interface`",
  }),
  id: required(integer(1, 255), {
    meaning: "VRID: the same on every router that shares the addresses, and on no other of the segment.",
    alike: "keepalived `virtual_router_id`",
  }),
  version: optional(versionKind(), 3, {
    meaning: "VRRP version: 3 (RFC 9568; IPv4 and IPv6) or 2 (RFC 3768; IPv4).",
    alike: "keepalived `version`, which is 2 by default",
  }),
  priority: optional(integer(1, 255), 100, {
    meaning:
      "The highest is active. Give every router another one. 255: the owner, whose own addresses these are.",
    alike: "keepalived `priority`",
  }),
  advert_interval: optional(duration({ minMs: 10, maxMs: V2_INTERVAL_MS_MAX }), "1s", {
    meaning:
      "Time between two advertisements; after three of them and a bit the others take over. Version 3: 10ms to 40s950ms in steps of 10ms; version 2: whole seconds.",
    alike: "keepalived `advert_int`",
  }),
  preempt: optional(preemptKind, true, {
    meaning:
      "Whether the router takes the addresses from an active router of lower priority. `{ delay: 30s }`: not right after start or recovery.",
    alike: "keepalived `nopreempt`, `preempt_delay`",
    defaultText: "`true`",
  }),
  addresses: required(addressList(1), {
    meaning:
      'The addresses that are shared, all of one family: `"192.0.2.10/24"`. Without prefix length /32 or /128. The same list on every router. IPv6: a link-local one first (RFC 9568 §5.2.9).',
    alike: "keepalived `virtual_ipaddress`",
  }),
  extra_addresses: optional(addressList(0), [], {
    meaning: "Move with the others and are not in the advertisements; of any family.",
    alike: "keepalived `virtual_ipaddress_excluded`",
  }),
  source_address: absent(text("IP address", parseIpAddress), {
    meaning:
      "Where the advertisements come from. Left out: the interface's first address that is not virtual; IPv6: its link-local address.",
    alike: "keepalived `unicast_src_ip`, `mcast_src_ip`",
  }),
  unicast_peers: optional(
    list(text("IP address", parseIpAddress), {
      type: "address or list of addresses",
      entriesMin: 0,
      mayBeSingle: true,
    }),
    [],
    {
      meaning:
        "Advertisements are sent to these hosts and taken from them alone, for networks without multicast. Empty: multicast.",
      alike: "keepalived `unicast_peer`",
    },
  ),
  checksum: optional(oneOf(["rfc9568", "pseudo-header"]), "rfc9568", {
    meaning:
      "How the checksum is made in version 3 over IPv4; both kinds are accepted. keepalived and FRR make and want `pseudo-header` unless they are told otherwise (keepalived 2.2.7 knows nothing else); routers by Cisco and Juniper follow the RFC.",
    alike: "keepalived `v3_checksum_as_v2`, FRR `checksum-with-ipv4-pseudoheader`",
  }),
  auth: absent(authSection, {
    meaning: "Version 2 alone: the plain password of RFC 2338, which others may still ask for.",
    alike: "keepalived `authentication { auth_type PASS }`",
  }),
  accept_mode: optional(boolean(), true, {
    meaning:
      "false: packets to the addresses are dropped although the router is active, except neighbour discovery (RFC 9568 Accept_Mode). Needs `nft`.",
    alike: "keepalived `accept`, `no_accept`",
  }),
  use_vmac: optional(boolean(), false, {
    meaning:
      "The addresses live on a macvlan interface with the virtual MAC address 00:00:5e:00:01:ID (IPv6: 02:ID).",
    alike: "keepalived `use_vmac`",
  }),
  on_address_lost: optional(oneOf(["restore", "fault"]), "restore", {
    meaning:
      "When somebody else removes an address while the router is active: put it back, or let another router take over.",
  }),
  address_lease: optional(leaseKind(), "auto", {
    meaning:
      "Lifetime of the installed addresses, whole seconds, renewed while active: the kernel removes them when nobody renews. `auto`: four advertisement intervals and a second, at least 3s. 0: for ever.",
  }),
  announce: optional(
    announceSection,
    {},
    { meaning: "Gratuitous ARP and unsolicited neighbour advertisements." },
  ),
  track: optional(trackSection, {}, { meaning: "What must work here for this router to be active." }),
  notify: absent(
    shortened(
      section({
        exec: required(commandKind(), {
          meaning:
            "Run at every transition with `ROUTER FROM TO CAUSE PRIORITY` appended, one at a time, in order.",
        }),
        timeout: optional(duration(TIMER), "10s", {
          meaning: "One that runs longer is killed, and the next one begins.",
        }),
      }),
      "exec",
    ),
    { meaning: "A program that is told every transition.", alike: "keepalived `notify`" },
  ),
  sync_group: absent(text("name", parseName), {
    meaning: "Routers of this file with the same name here are active together or not at all.",
    alike: "keepalived `vrrp_sync_group`",
  }),
});

export const virtualRouterSection = routerSection;

type RawRouter = typeof routerSection extends ValueKind<infer Output> ? Output : never;

/** Called for sections without problems only. `hasListeners`: the workers are worth watching. */
export function buildVirtualRouter(name: string, raw: RawRouter, hasListeners: boolean): VirtualRouterConfig {
  return {
    name,
    interface: raw.interface,
    id: raw.id,
    version: raw.version,
    family: raw.addresses[0]!.family,
    priority: raw.priority,
    advertIntervalMs: raw.advert_interval,
    preempt: raw.preempt !== "off",
    preemptDelayMs: raw.preempt === "off" ? 0 : raw.preempt.delay,
    addresses: raw.addresses,
    extraAddresses: raw.extra_addresses,
    sourceAddress: raw.source_address,
    unicastPeers: raw.unicast_peers,
    checksum: raw.checksum,
    authPass: raw.auth?.pass,
    acceptMode: raw.accept_mode,
    useVmac: raw.use_vmac,
    onAddressLost: raw.on_address_lost,
    addressLeaseMs: raw.address_lease,
    announce: {
      repeat: raw.announce.repeat,
      repeatIntervalMs: raw.announce.repeat_interval,
      delayMs: raw.announce.delay,
      refreshMs: raw.announce.refresh,
    },
    track: buildTrack(raw.track, hasListeners),
    notify:
      raw.notify === undefined ? undefined : { command: raw.notify.exec, timeoutMs: raw.notify.timeout },
    syncGroup: raw.sync_group,
  };
}

function buildTrack(raw: RawRouter["track"], hasListeners: boolean): TrackConfig {
  const gateway = raw.gateway ?? { weight: 0, timeout: GATEWAY_TIMEOUT_MS };
  const isGatewayTracked = hasListeners && gateway !== "off";
  return {
    interfaces: raw.interfaces.map((entry) => ({
      interface: entry.interface,
      weight: entry.weight,
      downDelayMs: entry.down_delay,
      upDelayMs: entry.up_delay,
    })),
    pools: Object.entries(raw.pools).map(([pool, entry]) => ({
      pool,
      below: entry.below,
      weight: entry.weight,
    })),
    checks: Object.entries(raw.checks).map(([name, entry]) => ({
      name,
      command: entry.exec,
      intervalMs: entry.interval,
      timeoutMs: entry.timeout ?? Math.min(CHECK_TIMEOUT_MS, Math.ceil(entry.interval / 2)),
      rise: entry.rise,
      fall: entry.fall,
      weight: entry.weight,
    })),
    gateway: isGatewayTracked ? { weight: gateway.weight, timeoutMs: gateway.timeout } : undefined,
  };
}

/** `192.0.2.10/24`; without a prefix length /32 or /128. */
export function parseAddressPrefix(input: unknown): Parsed<AddressPrefix> {
  const hint = 'write an address with the length of its prefix: "192.0.2.10/24" or "2001:db8::10/64"';
  const words = typeof input === "string" ? input.trim().split(/\s+/) : [];
  if (words.length > 1) {
    return refused(
      `${quoted(input)} has more than an address`,
      `write "${words[0]}" alone: the interface is a key of the router`,
    );
  }
  const range = parseCidr(input);
  if (!range.ok) return refused(range.reason.replace("is not an address range", "is not an address"), hint);
  const [host, length] = range.value.split("/") as [string, string];
  const family = host.includes(":") ? "inet6" : "inet";
  const prefixLength = Number(length);
  if (prefixLength === 0) return refused(`${quoted(input)}: the prefix length must not be 0`, hint);
  const isUnicast = family === "inet6" ? !/^(::$|ff)/i.test(host) : !/^(0|22[4-9]|2[345]\d)\./.test(host);
  return isUnicast
    ? parsed({ family, host, prefixLength })
    : refused(`${quoted(input)} cannot be the address of an interface`, hint);
}

/** dev_valid_name() of the kernel's net/core/dev.c. */
function parseInterface(input: unknown): Parsed<string> {
  const name = typeof input === "number" ? String(input) : input;
  const isValid =
    typeof name === "string" &&
    name.length <= NAME_OF_INTERFACE_CHARACTERS_MAX &&
    /^[^\s/:]+$/.test(name) &&
    name !== "." &&
    name !== "..";
  return isValid
    ? parsed(name)
    : refused(
        `${quoted(input)} is not the name of an interface`,
        "`ip link` lists them: eth0, ens3, bond0.100",
      );
}

function parsePass(input: unknown): Parsed<string> {
  const pass = typeof input === "number" ? String(input) : input;
  // The field has 8 octets: RFC 2338 §5.3.10. Others cut longer ones silently, and two that differ later then match.
  if (typeof pass === "string" && /^[\x21-\x7e]{1,8}$/.test(pass)) return parsed(pass);
  return refused(
    "is not a password of 1 to 8 ASCII characters",
    "keepalived uses the first 8 of a longer one",
  );
}

function versionKind(): ValueKind<2 | 3> {
  return value<2 | 3>({
    type: "`2` or `3`",
    parse: (input) =>
      input === 2 || input === 3
        ? parsed(input)
        : refused(`${quoted(input)} is not a version of VRRP`, "write version: 3, or 2 for old peers"),
    jsonSchema: { enum: [2, 3] },
  });
}

function leaseKind(): ValueKind<number | "auto"> {
  return value<number | "auto">({
    type: "`auto` or duration",
    range: "0, or 2s to 1d",
    parse: (input) => {
      if (input === "auto") return parsed(input);
      const lease = parseDurationMs(input, { minMs: 0, maxMs: LEASE_MS_MAX });
      if (!lease.ok) return lease;
      // The kernel counts valid_lft in seconds and looks at it about once a second: addrconf_verify_rtnl().
      const isWhole = lease.value % 1000 === 0 && lease.value !== 1000;
      return isWhole
        ? lease
        : refused(
            `${formatDuration(lease.value)} is not 0 or whole seconds from 2s`,
            "the kernel counts lifetimes of addresses in seconds",
          );
    },
    jsonSchema: durationOr("auto", { maxMs: LEASE_MS_MAX }).jsonSchema,
  });
}
