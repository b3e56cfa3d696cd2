/**
 * `accept_mode: false`: packets to the addresses of an active router are dropped (RFC 9568 §6.1, Accept_Mode), all but neighbour discovery
 * ("IPv6 Neighbor Solicitations and Neighbor Advertisements MUST NOT be dropped when Accept_Mode is False"; ARP never comes this way). One
 * nftables table per router, `inet holdfast_INTERFACE_FAMILY_ID`: the name belongs to the router and not to the process, so that a
 * gateway that was killed finds its own table again and replaces it. Used by router-supervision.ts.
 *
 * The supervisor runs nft(8) and waits for it, some 10 ms at a start, a reload and the end: it is not on any packet's way.
 */
import { spawnSync } from "node:child_process";
import type { AddressPrefix, VirtualRouterConfig } from "../config/types.ts";
import { PRIORITY_OWNER } from "../vrrp/timers.ts";

const NFT_TIMEOUT_MS = 5_000;

/** Runs nft with a script on its standard input; undefined when it went well, otherwise why not. Tests have their own. */
export type RunNft = (script: string) => string | undefined;

export class AcceptFilter {
  readonly #runNft: RunNft;
  /** Script by table, as installed. */
  #installed: ReadonlyMap<string, string> = new Map();
  #hasLooked = false;

  constructor(runNft: RunNft = runNftProgram) {
    this.#runNft = runNft;
  }

  /** Makes the tables those of `routers`, all in one transaction of the kernel. Throws with everything as it was. */
  apply(routers: readonly VirtualRouterConfig[]): void {
    const wanted = new Map(
      routers.filter(isFiltered).map((router) => [tableName(router), acceptTable(router)]),
    );
    if (!this.#hasLooked) this.#removeLeftovers(routers.map(tableName).filter((table) => !wanted.has(table)));
    const script = [
      ...[...this.#installed.keys()].filter((table) => !wanted.has(table)).map(deletion),
      ...[...wanted].filter(([table, text]) => this.#installed.get(table) !== text).map(([, text]) => text),
    ].join("");
    if (script === "") return;
    const failure = this.#runNft(script);
    if (failure !== undefined) {
      const names = [...wanted.keys()].join(", ");
      throw new Error(`accept_mode: false needs the nftables table ${names}: ${failure}`);
    }
    this.#installed = wanted;
  }

  /**
   * Before the first router: a gateway that was killed left its tables, and where they are no longer wanted they would go on dropping
   * everything. Without nft, or the right to use it, there was never a table.
   */
  #removeLeftovers(tables: readonly string[]): void {
    if (tables.length === 0) return;
    this.#hasLooked = true;
    this.#runNft(tables.map(deletion).join(""));
  }

  /** Undefined: done. Otherwise why the tables are still there. */
  remove(): string | undefined {
    try {
      this.apply([]);
      return undefined;
    } catch (error) {
      return (error as Error).message;
    }
  }
}

/** The owner of the addresses accepts what is sent to them, whatever Accept_Mode says (RFC 9568 §6.1). */
function isFiltered({ acceptMode, priority }: VirtualRouterConfig): boolean {
  return !acceptMode && priority !== PRIORITY_OWNER;
}

/** Interfaces may be called nearly anything, tables may not. */
export function tableName(router: Pick<VirtualRouterConfig, "interface" | "family" | "id">): string {
  return `holdfast_${router.interface.replaceAll(/[^A-Za-z0-9]/g, "_")}_${router.family}_${router.id}`;
}

/** "Add, delete, add": nft has no other way to replace a table that may or may not be there. */
function deletion(table: string): string {
  return `add table inet ${table}\ndelete table inet ${table}\n`;
}

export function acceptTable(router: VirtualRouterConfig): string {
  const addresses = [...router.addresses, ...router.extraAddresses];
  const table = tableName(router);
  return [
    `${deletion(table)}table inet ${table} {`,
    "  chain input {",
    "    type filter hook input priority filter; policy accept;",
    "    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept",
    ...dropRule("ip", addresses, "inet"),
    ...dropRule("ip6", addresses, "inet6"),
    "  }",
    "}",
    "",
  ].join("\n");
}

function dropRule(
  protocol: "ip" | "ip6",
  addresses: readonly AddressPrefix[],
  family: AddressPrefix["family"],
): string[] {
  const hosts = addresses.filter((address) => address.family === family).map(({ host }) => host);
  return hosts.length === 0 ? [] : [`    ${protocol} daddr { ${hosts.join(", ")} } drop`];
}

function runNftProgram(script: string): string | undefined {
  const { error, status, stderr } = spawnSync("nft", ["-f", "-"], {
    input: script,
    encoding: "utf8",
    timeout: NFT_TIMEOUT_MS,
  });
  if (error !== undefined) {
    const isMissing = (error as NodeJS.ErrnoException).code === "ENOENT";
    return isMissing ? "nft is not installed (package nftables)" : `nft: ${error.message}`;
  }
  if (status === 0) return undefined;
  const hint = /not permitted/i.test(stderr) ? " (it needs CAP_NET_ADMIN: run the gateway as root)" : "";
  return `nft refused: ${stderr.trim().split("\n")[0]}${hint}`;
}
