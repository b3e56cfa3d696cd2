/**
 * The way into the configuration for everybody else: reads the file, loads it (load.ts), and replaces host names of
 * servers by addresses, one server per address. Driver: file system and name service. Called by `run`, `check`, reload.
 */
import { ADDRCONFIG } from "node:dns";
import { lookup } from "node:dns/promises";
import { readFile } from "node:fs/promises";
import { formatAddress, isIpLiteral } from "./address.ts";
import { findMissingPrograms } from "./check-programs.ts";
import { type ConfigPath, type Diagnostic, formatPath, sortDiagnostics } from "./diagnostics.ts";
import { readHostFacts } from "./host-facts.ts";
import { findMissingInterfaces } from "./host-interfaces.ts";
import type { HostFacts } from "./lint.ts";
import { type LoadResult, loadConfig } from "./load.ts";
import type { GatewayConfig, PoolConfig, ServerConfig, SocketAddress } from "./types.ts";

export interface ResolvedAddress {
  readonly address: string;
  readonly family: number;
}

/** All addresses of a name, or an error with a `code` such as ENOTFOUND. */
export type Lookup = (hostName: string) => Promise<readonly ResolvedAddress[]>;

export interface ReadOptions {
  readonly host?: HostFacts;
  readonly lookup?: Lookup;
  /** Leave host names as they are, and look for no programs and interfaces: for a check away from the host that will run it. */
  readonly isOffline?: boolean;
}

/** Reads, loads and resolves a file. Never throws for what an operator can do wrong. */
export async function readConfigFile(file: string, options: ReadOptions = {}): Promise<LoadResult> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const [message, hint] = READ_ERRORS[code ?? ""] ?? [
      `cannot be read (${code ?? String(error)})`,
      undefined,
    ];
    return {
      ok: false,
      diagnostics: [{ severity: "error", file, line: 0, column: 0, path: "", message, hint }],
    };
  }
  return readConfigText(text, file, options);
}

const READ_ERRORS: Readonly<Record<string, readonly [message: string, hint: string]>> = {
  ENOENT: ["there is no such file", "check the path; examples/minimal.yaml is a good start"],
  EACCES: ["permission denied", "check the file's owner and mode"],
  EISDIR: ["is a directory", "name the file inside it"],
};

/** Loads and resolves a text; `file` is how messages call it. */
export async function readConfigText(
  text: string,
  file: string,
  options: ReadOptions = {},
): Promise<LoadResult> {
  const loaded = loadConfig(text, file, options.host ?? readHostFacts());
  if (!loaded.ok || options.isOffline === true) return loaded;
  const { config, diagnostics } = await resolveServers(loaded.config, options.lookup ?? lookupAll);
  const locate = (severity: Diagnostic["severity"], { path, message, hint }: LocalProblem): Diagnostic => {
    return { severity, file, ...loaded.locate(path), path: formatPath(path), message, hint };
  };
  const missing = [...(await findMissingPrograms(config)), ...findMissingInterfaces(config)];
  const warnings = sortDiagnostics([...loaded.warnings, ...missing.map((found) => locate("warning", found))]);
  if (diagnostics.length === 0) return { ...loaded, config, warnings };
  const errors = diagnostics.map((found) => locate("error", found));
  return { ok: false, diagnostics: sortDiagnostics([...warnings, ...errors]) };
}

/** A problem that only this machine and its network know of. */
export interface LocalProblem {
  readonly path: ConfigPath;
  readonly message: string;
  readonly hint: string;
}

/** One server per address of a name, in a stable order; the name of each keeps both: "app.internal@10.0.0.1:80". */
export async function resolveServers(
  config: GatewayConfig,
  lookup: Lookup = lookupAll,
): Promise<{ config: GatewayConfig; diagnostics: readonly LocalProblem[] }> {
  const pending = new Map<string, Promise<readonly ResolvedAddress[]>>();
  const lookupOnce: Lookup = (hostName) => {
    const running = pending.get(hostName) ?? lookup(hostName);
    pending.set(hostName, running);
    return running;
  };
  const diagnostics: LocalProblem[] = [];
  const resolvePool = async (pool: PoolConfig): Promise<PoolConfig> => {
    const servers = await Promise.all(
      pool.servers.map(async (server, index) => {
        try {
          return await resolveServer(server, lookupOnce);
        } catch (error) {
          diagnostics.push(unresolved(["pools", pool.name, "servers", index], server, error as Error));
          return [];
        }
      }),
    );
    return { ...pool, servers: servers.flat() };
  };
  const pools = await Promise.all(config.pools.map(resolvePool));
  return { config: { ...config, pools }, diagnostics };
}

async function resolveServer(server: ServerConfig, lookup: Lookup): Promise<readonly ServerConfig[]> {
  const { address } = server;
  if (address.family === "unix" || isIpLiteral(address.host)) return [server];
  const found = await lookup(address.host);
  if (found.length === 0) throw Object.assign(new Error("no address"), { code: "ENODATA" });
  // Name servers rotate their answers; an order that stays makes a reload a reload of nothing.
  const hosts = [...new Set(found.map((entry) => entry.address))].toSorted();
  return hosts.map((host) => {
    const resolved: SocketAddress = {
      family: host.includes(":") ? "inet6" : "inet",
      host,
      port: address.port,
    };
    return { ...server, name: `${address.host}@${formatAddress(resolved)}`, address: resolved };
  });
}

async function lookupAll(hostName: string): Promise<readonly ResolvedAddress[]> {
  // Servers on this machine listen on 127.0.0.1 more often than on ::1, and a second address that refuses costs a try.
  if (hostName === "localhost") return [{ address: "127.0.0.1", family: 4 }];
  return lookup(hostName, { all: true, hints: ADDRCONFIG });
}

function unresolved(path: ConfigPath, server: ServerConfig, error: NodeJS.ErrnoException): LocalProblem {
  const host = server.address.family === "unix" ? server.name : server.address.host;
  const isUnknown = error.code === "ENOTFOUND" || error.code === "ENODATA";
  return {
    path,
    message: isUnknown
      ? `the host name "${host}" has no address`
      : `"${host}" could not be resolved (${error.code ?? error.message})`,
    hint: isUnknown
      ? "correct the name, add it to DNS or /etc/hosts, or write the address"
      : "the name server did not answer: try again, or write the address",
  };
}
