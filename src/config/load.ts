/**
 * From the text of a configuration file to a `GatewayConfig`, or to all of its problems with line and column.
 * Reads no file and asks no name server: resolve.ts does, and is what `run`, `check` and a reload call.
 * Order: YAML syntax, unknown keys, the schema (schema.ts), references between keys, then warnings.
 */
import * as v from "valibot";
import { formatAddress } from "./address.ts";
import {
  type ConfigPath,
  type Diagnostic,
  formatPath,
  type SourcePosition,
  sortDiagnostics,
} from "./diagnostics.ts";
import { findHealthProblems } from "./health-findings.ts";
import { buildHealth } from "./health-section.ts";
import { type HostFacts, lintConfig } from "./lint.ts";
import type { Finding } from "./raw.ts";
import { findReferenceProblems } from "./references.ts";
import { gatewaySection, type RawGateway } from "./schema.ts";
import { splitIssueMessage } from "./schema-kit.ts";
import { ConfigSource } from "./source.ts";
import type { GatewayConfig, HttpListenerConfig, ListenerConfig, PoolConfig, ServerConfig } from "./types.ts";
import { findUnknownKeys } from "./unknown-keys.ts";
import { findUnusedSettings } from "./unused-settings.ts";
import { findVirtualRouterProblems } from "./virtual-router-findings.ts";
import { lintVirtualRouters } from "./virtual-router-lint.ts";
import { buildVirtualRouter } from "./virtual-router-section.ts";

export type LoadResult =
  | {
      readonly ok: true;
      readonly config: GatewayConfig;
      readonly warnings: readonly Diagnostic[];
      /** Where a path stands in the file, for problems found later (names that do not resolve, ports in use). */
      readonly locate: (path: ConfigPath) => SourcePosition;
    }
  | {
      readonly ok: false;
      /** Errors and warnings in the order of the file; at least one is an error. */
      readonly diagnostics: readonly Diagnostic[];
    };

/** Server addresses may still be names: see `resolveServers` in resolve.ts. */
export function loadConfig(text: string, file: string, host: HostFacts): LoadResult {
  const source = new ConfigSource(text, file);
  const diagnostics: Diagnostic[] = [...source.diagnostics];
  if (source.raw === null && diagnostics.length === 0) {
    const message = "the file is empty";
    return {
      ok: false,
      diagnostics: [{ ...FILE_START, file, severity: "error", path: "", message, hint: EMPTY_HINT }],
    };
  }
  if (!source.isReadable) return { ok: false, diagnostics: sortDiagnostics(diagnostics) };

  const report = (finding: Finding) => diagnostics.push(toDiagnostic(source, finding));
  for (const { path, message, hint } of findUnknownKeys(source.raw)) {
    report({ severity: "error", path, part: "key", message, hint });
  }
  const result = v.safeParse(gatewaySection.schema, source.raw);
  for (const issue of result.issues ?? []) {
    const path = (issue.path ?? []).map(({ key }) => key as string | number);
    report({ severity: "error", path, ...splitIssueMessage(issue.message) });
  }
  findReferenceProblems(source.raw, (path) => source.locate(path).line).forEach(report);
  findHealthProblems(source.raw).forEach(report);
  findVirtualRouterProblems(source.raw, (path) => source.locate(path).line).forEach(report);

  if (!result.success || diagnostics.some(({ severity }) => severity === "error")) {
    return { ok: false, diagnostics: sortDiagnostics(diagnostics) };
  }
  const config = buildConfig(result.output, host);
  lintConfig(config, host).forEach(report);
  lintVirtualRouters(source.raw, config).forEach(report);
  findUnusedSettings(source.raw, config, host).forEach(report);
  return { ok: true, config, warnings: sortDiagnostics(diagnostics), locate: (path) => source.locate(path) };
}

const FILE_START: SourcePosition = { line: 1, column: 1 };
const EMPTY_HINT = "examples/minimal.yaml is a good start";

function toDiagnostic(source: ConfigSource, finding: Finding): Diagnostic {
  const { severity, message, hint, part = "value" } = finding;
  const path = formatPath(source.writtenPath(finding.path));
  return { severity, file: source.file, ...source.locate(finding.path, part), path, message, hint };
}

function buildConfig(raw: RawGateway, host: HostFacts): GatewayConfig {
  const hasListeners = Object.keys(raw.listeners).length > 0;
  return {
    workers: !hasListeners ? 0 : raw.workers === "auto" ? host.processors : raw.workers,
    user: raw.user,
    admin: raw.admin,
    drainTimeoutMs: raw.drain_timeout,
    accessLog: raw.access_log,
    heartbeats: raw.heartbeats,
    listeners: Object.entries(raw.listeners).map(([name, listener]) => buildListener(name, listener)),
    pools: Object.entries(raw.pools).map(([name, pool]) => buildPool(name, pool)),
    virtualRouters: Object.entries(raw.virtual_routers).map(([name, router]) =>
      buildVirtualRouter(name, router, hasListeners),
    ),
    stateDir: raw.state_dir,
  };
}

function buildListener(name: string, raw: RawGateway["listeners"][string]): ListenerConfig {
  const { http, tcp } = raw;
  return {
    name,
    bind: raw.bind,
    backlog: raw.backlog,
    tcpKeepalive: raw.so_keepalive,
    tcpUserTimeoutMs: raw.tcp_user_timeout,
    proxyProtocol: raw.proxy_protocol,
    http: http === undefined ? undefined : buildHttpListener(http),
    tcp:
      tcp === undefined
        ? undefined
        : {
            pool: tcp.pool,
            idleTimeoutMs: tcp.idle_timeout,
            onIdle: tcp.on_idle,
            halfCloseTimeoutMs: tcp.half_close_timeout,
            maxConnections: tcp.max_connections,
          },
  };
}

type RawHttp = NonNullable<RawGateway["listeners"][string]["http"]>;

function buildHttpListener(http: RawHttp): HttpListenerConfig {
  return {
    keepaliveTimeoutMs: http.keepalive_timeout,
    keepaliveHeaderSeconds: http.keepalive_header === undefined ? undefined : http.keepalive_header / 1000,
    keepaliveRequests: http.keepalive_requests,
    keepaliveTimeMs: http.keepalive_time,
    clientHeaderTimeoutMs: http.client_header_timeout,
    clientBodyTimeoutMs: http.client_body_timeout,
    sendTimeoutMs: http.send_timeout,
    tunnelTimeoutMs: http.tunnel_timeout,
    lingeringTimeMs: http.lingering_time,
    lingeringTimeoutMs: http.lingering_timeout,
    maxHeaderBytes: http.max_header_size,
    maxBodyBytes: http.max_body_size,
    via: http.via,
    trustedProxies: http.trusted_proxies,
    routes: http.routes.map(({ host, path, pool }) => ({ host, path, pool })),
  };
}

function buildPool(name: string, raw: RawGateway["pools"][string]): PoolConfig {
  return {
    name,
    balance: raw.balance,
    tcpKeepalive: raw.so_keepalive,
    tcpUserTimeoutMs: raw.tcp_user_timeout,
    connectTimeoutMs: raw.connect_timeout,
    readTimeoutMs: raw.read_timeout,
    sendTimeoutMs: raw.send_timeout,
    keepalive: raw.keepalive,
    keepaliveTimeoutMs: raw.keepalive_timeout,
    keepaliveRequests: raw.keepalive_requests,
    keepaliveTimeMs: raw.keepalive_time,
    sourceAddress: raw.source_address,
    nextUpstream: {
      tries: raw.next_upstream.tries,
      timeoutMs: raw.next_upstream.timeout,
      nonIdempotent: raw.next_upstream.non_idempotent,
    },
    replayBytesMax: raw.replay_buffer_size,
    sendProxy: raw.send_proxy,
    queueMax: raw.queue,
    queueTimeoutMs: raw.queue_timeout,
    onDown: raw.on_down,
    health: raw.health === undefined ? undefined : buildHealth(raw.health),
    servers: raw.servers.map(buildServer),
  };
}

function buildServer(raw: RawGateway["pools"][string]["servers"][number]): ServerConfig {
  return {
    name: formatAddress(raw.address),
    address: raw.address,
    weight: raw.weight,
    maxFails: raw.max_fails,
    failTimeoutMs: raw.fail_timeout,
    maxConns: raw.max_conns,
    slowStartMs: raw.slow_start,
    backup: raw.backup,
  };
}
