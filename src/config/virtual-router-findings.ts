/**
 * Errors between the keys of virtual routers: an id used twice on one interface, an interval that the version cannot say, families
 * mixed, a password in version 3, a pool that is missing. Works on raw values beside the schema and skips what the schema refused,
 * as references.ts does, so that every problem of a file is found at once. Pure. Called by load.ts.
 */
import { formatAddressPrefix, parseIpAddress } from "./address.ts";
import { closest } from "./closest.ts";
import type { ConfigPath } from "./diagnostics.ts";
import { formatDuration, parseDurationMs } from "./duration.ts";
import { asList, asMap, error, type Finding, isMap, mapsIn, type RawMap } from "./raw.ts";
import type { LineOf } from "./references.ts";
import type { AddressPrefix } from "./types.ts";
import { parseAddressPrefix, V3_INTERVAL_MS_MAX } from "./virtual-router-section.ts";

/** What fits into one packet of 1500 bytes (fragments are not accepted everywhere), and the count field's 255. */
const ADDRESSES_MAX = { inet: 255, inet6: 90 } as const;

interface RawRouter {
  readonly at: ConfigPath;
  readonly name: string;
  readonly raw: RawMap;
  readonly addresses: readonly Placed[];
  readonly extraAddresses: readonly Placed[];
  /** Of the first address that can be read. */
  readonly family: AddressPrefix["family"] | undefined;
}

interface Placed {
  readonly path: ConfigPath;
  readonly address: AddressPrefix;
}

export function findVirtualRouterProblems(raw: unknown, lineOf: LineOf): Finding[] {
  const root = asMap(raw);
  const routers = mapsIn(root.virtual_routers).map(([name, router]) => readRouter(name, router));
  return [
    ...idFindings(routers, lineOf),
    ...addressFindings(routers, lineOf),
    ...routers.flatMap((router) => [
      ...versionFindings(router),
      ...familyFindings(router),
      ...ownerFindings(router),
      ...peerFindings(router),
      ...trackFindings(router, root),
    ]),
  ];
}

function readRouter(name: string, raw: RawMap): RawRouter {
  const at: ConfigPath = ["virtual_routers", name];
  const addresses = readAddresses([...at, "addresses"], raw.addresses);
  const extraAddresses = readAddresses([...at, "extra_addresses"], raw.extra_addresses);
  return { at, name, raw, addresses, extraAddresses, family: addresses[0]?.address.family };
}

function readAddresses(path: ConfigPath, raw: unknown): Placed[] {
  const entries = Array.isArray(raw) ? raw : [raw];
  return entries.flatMap((entry, index) => {
    const result = parseAddressPrefix(entry);
    return result.ok ? [{ path: Array.isArray(raw) ? [...path, index] : path, address: result.value }] : [];
  });
}

/** Interface, family and VRID are what tells two virtual routers apart: RFC 9568 §7.3 makes the MAC address of the last two. */
function idFindings(routers: readonly RawRouter[], lineOf: LineOf): Finding[] {
  const seen = new Map<string, RawRouter>();
  return routers.flatMap((router) => {
    const { raw, family, at } = router;
    if (typeof raw.id !== "number" || family === undefined || raw.interface === undefined) return [];
    const key = `${raw.interface} ${family} ${raw.id}`;
    const earlier = seen.get(key);
    if (earlier === undefined) {
      seen.set(key, router);
      return [];
    }
    const message = `id ${raw.id} is taken on ${raw.interface} by router ${earlier.name} (line ${lineOf([...earlier.at, "id"])})`;
    const hint = "give one of them another id, on every node, or put all addresses into one router";
    return [error([...at, "id"], message, hint)];
  });
}

function addressFindings(routers: readonly RawRouter[], lineOf: LineOf): Finding[] {
  const seen = new Map<string, { readonly owner: string; readonly path: ConfigPath }>();
  return routers.flatMap((router) =>
    [...router.addresses, ...router.extraAddresses].flatMap(({ path, address }) => {
      // A link-local address may be used on every interface.
      const isLinkLocal = /^fe[89ab]/i.test(address.host);
      const key = isLinkLocal ? `${address.host} ${router.raw.interface}` : address.host;
      const earlier = seen.get(key);
      if (earlier === undefined) {
        seen.set(key, { owner: router.name, path });
        return [];
      }
      const where = earlier.owner === router.name ? "this router" : `router ${earlier.owner}`;
      const message = `${address.host} is an address of ${where} already (line ${lineOf(earlier.path)})`;
      return [error(path, message, "one router holds an address: remove it in one place")];
    }),
  );
}

function versionFindings({ at, raw, family }: RawRouter): Finding[] {
  const findings: Finding[] = [];
  const version = raw.version ?? 3;
  const isV2 = version === 2;
  if (isV2 && family === "inet6") {
    findings.push(error([...at, "version"], "version 2 knows no IPv6", "write version: 3, on every router"));
  }
  if (version === 3 && raw.auth !== undefined) {
    const hint = "remove it, here and on the peers; RFC 9568 §9 says what guards a segment instead";
    findings.push({ ...error([...at, "auth"], "version 3 has no authentication", hint), part: "key" });
  }
  const interval = parseDurationMs(raw.advert_interval ?? "1s");
  if (!interval.ok) return findings;
  const path = [...at, "advert_interval"];
  const written = formatDuration(interval.value);
  if (isV2 && interval.value % 1000 !== 0) {
    const seconds = formatDuration(Math.max(1000, Math.round(interval.value / 1000) * 1000));
    const hint = `write ${seconds}, or version: 3 on every router, which counts in steps of 10ms`;
    findings.push(error(path, `${written}: version 2 counts in whole seconds`, hint));
  }
  if (version === 3 && interval.value > V3_INTERVAL_MS_MAX) {
    const message = `${written} is more than version 3 can say (12 bits of 10ms)`;
    findings.push(error(path, message, `write at most ${formatDuration(V3_INTERVAL_MS_MAX)}`));
  } else if (version === 3 && interval.value >= 10 && interval.value % 10 !== 0) {
    const near = formatDuration(Math.round(interval.value / 10) * 10);
    findings.push(error(path, `${written}: version 3 counts in steps of 10ms`, `write ${near}`));
  }
  return findings;
}

function familyFindings({ at, addresses, family }: RawRouter): Finding[] {
  if (family === undefined) return [];
  const findings: Finding[] = [];
  const other = addresses.find(({ address }) => address.family !== family);
  if (other !== undefined) {
    const message = `${formatAddressPrefix(other.address)} is ${familyName(other.address.family)} among ${familyName(family)}: an advertisement carries one family`;
    const hint = "move it to extra_addresses (it then moves along), or make a second router";
    findings.push(error(other.path, message, hint));
  }
  if (addresses.length > ADDRESSES_MAX[family]) {
    const message = `${addresses.length} addresses do not fit into an advertisement: at most ${ADDRESSES_MAX[family]}`;
    findings.push(error([...at, "addresses"], message, "move the others to extra_addresses"));
  }
  return findings;
}

function familyName(family: AddressPrefix["family"]): string {
  return family === "inet" ? "IPv4" : "IPv6";
}

/** RFC 9568 §6.1: the owner always preempts. */
function ownerFindings({ at, raw }: RawRouter): Finding[] {
  if (raw.priority !== 255) return [];
  if (raw.preempt !== false && raw.preempt !== "off") return [];
  const message = "the owner of the addresses (priority 255) always preempts";
  return [error([...at, "preempt"], message, "write priority: 254, or remove it")];
}

function peerFindings({ at, raw, family }: RawRouter): Finding[] {
  const findings: Finding[] = [];
  const source = parseIpAddress(raw.source_address);
  if (source.ok && family !== undefined && familyOf(source.value) !== family) {
    const message = `${source.value} is ${familyName(familyOf(source.value))}, the addresses are ${familyName(family)}`;
    findings.push(error([...at, "source_address"], message, "write an address of the same family"));
  }
  const seen = new Set<string>();
  for (const [index, entry] of asListOrOne(raw.unicast_peers).entries()) {
    const peer = parseIpAddress(entry);
    if (!peer.ok) continue;
    const path = [...at, "unicast_peers", index];
    const report = (message: string, hint: string) => findings.push(error(path, message, hint));
    if (source.ok && peer.value === source.value) {
      report(`${peer.value} is this router's own source_address`, "name the other routers");
    } else if (seen.has(peer.value)) report(`${peer.value} is written twice`, "remove one of the two");
    else if (family !== undefined && familyOf(peer.value) !== family) {
      const message = `${peer.value} is ${familyName(familyOf(peer.value))}, the addresses are ${familyName(family)}`;
      report(message, "write an address of the same family");
    }
    seen.add(peer.value);
  }
  return findings;
}

function familyOf(host: string): AddressPrefix["family"] {
  return host.includes(":") ? "inet6" : "inet";
}

function asListOrOne(raw: unknown): readonly unknown[] {
  return Array.isArray(raw) ? raw : [raw];
}

function trackFindings({ at, raw }: RawRouter, root: RawMap): Finding[] {
  const track = asMap(raw.track);
  const pools = asMap(root.pools);
  const names = Object.keys(pools);
  const findings: Finding[] = [];
  for (const [name, entry] of mapsIn(track.pools)) {
    const path = [...at, "track", "pools", name];
    if (!Object.hasOwn(pools, name)) {
      const similar = closest(name, names);
      const known =
        names.length === 0
          ? "the file has no pools"
          : `use one of ${names.join(", ")}, or add it under pools`;
      const hint = similar === undefined ? known : `did you mean ${similar}?`;
      findings.push({ ...error(path, `there is no pool "${name}"`, hint), part: "key" });
      continue;
    }
    const count = asList(asMap(pools[name]).servers).length;
    const hasNames = asList(asMap(pools[name]).servers).some(mayBecomeSeveral);
    if (typeof entry.below !== "number" || count === 0 || hasNames || entry.below <= count) continue;
    const message = `${entry.below} is more than pool ${name} has (${count}): it would always be down`;
    findings.push(error([...path, "below"], message, `write 1 to ${count}`));
  }
  if (isMap(raw.track) && track.gateway !== undefined && root.listeners === undefined) {
    const isOff = track.gateway === false || track.gateway === "off";
    const message = "there is nothing to track: the file has no listeners, so no worker runs";
    if (!isOff) findings.push(error([...at, "track", "gateway"], message, "remove it"));
  }
  return findings;
}

/** A host name can stand for several servers (resolve.ts). */
function mayBecomeSeveral(server: unknown): boolean {
  const address = isMap(server) ? server.address : server;
  return typeof address === "string" && /^[^[/]*[g-z]/i.test(address) && !address.startsWith("unix:");
}
