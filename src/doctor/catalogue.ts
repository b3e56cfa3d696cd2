/**
 * The boxes and programs that `holdfast predict` knows by name. Pure. The entries are data in catalogue/; what an entry is, and how
 * its values are replaced, is in catalogue-entry.ts. Called by path-resolution.ts, `holdfast predict --list` and the guide's table.
 */
import { closest } from "../config/closest.ts";
import { CLOUDS } from "./catalogue/clouds.ts";
import { END_POINTS } from "./catalogue/end-points.ts";
import { NETWORKS } from "./catalogue/networks.ts";
import { PROXIES } from "./catalogue/proxies.ts";
import type { CatalogueEntry, CatalogueGroup } from "./catalogue-entry.ts";

/** Boxes of the operator's own: every value is theirs. */
const CUSTOM: readonly CatalogueEntry[] = [
  {
    name: "box",
    title: "A packet box of your own: NAT, firewall, L4 balancer",
    group: "your own",
    kind: "packet-box",
    defaults: { at_expiry: "silent", from_client: "drop", from_server: "drop" },
    source: { text: "as written" },
  },
  {
    name: "proxy",
    title: "A proxy of your own",
    group: "your own",
    kind: "proxy",
    defaults: { protocol: "tcp", client_so_keepalive: "off", server_so_keepalive: "off" },
    source: { text: "as written" },
  },
];

export const CATALOGUE: readonly CatalogueEntry[] = [
  ...CLOUDS,
  ...NETWORKS,
  ...PROXIES,
  ...END_POINTS,
  ...CUSTOM,
];

export const CATALOGUE_GROUPS: readonly CatalogueGroup[] = [...new Set(CATALOGUE.map(({ group }) => group))];

/** Other words for the same thing. */
const ALIASES: Readonly<Record<string, string>> = {
  node: "node-http",
  ipvs: "lvs",
  keepalived: "lvs",
  fetch: "node-fetch",
  postgresql: "postgres",
  mariadb: "mysql",
  nat: "conntrack-snat",
  "nginx-http": "nginx",
  "docker-swarm": "docker-swarm-vip",
  sshd: "ssh",
};

const BY_NAME: ReadonlyMap<string, CatalogueEntry> = new Map(CATALOGUE.map((entry) => [entry.name, entry]));

export function findEntry(name: string): CatalogueEntry | undefined {
  return BY_NAME.get(Object.hasOwn(ALIASES, name) ? ALIASES[name]! : name);
}

/** For "did you mean": a typing error, or the only names that contain the word. */
export function similarNames(name: string): readonly string[] {
  const names = [...BY_NAME.keys(), ...Object.keys(ALIASES)];
  const near = closest(name.toLowerCase(), names);
  if (near !== undefined) return [near];
  const containing = name.length < 3 ? [] : names.filter((known) => known.includes(name.toLowerCase()));
  return containing.slice(0, 5);
}

export function knownName(name: string): CatalogueEntry {
  const entry = findEntry(name);
  if (entry === undefined) throw new Error(`${name} is not in the catalogue`);
  return entry;
}
