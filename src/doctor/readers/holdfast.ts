/**
 * Holdfast's own configuration file as a hop: a listener and the pool behind it. Loaded as `holdfast check --offline` does, so its
 * mistakes are the same diagnostics. Pure: host facts are an argument. Called by path-resolution.ts.
 */
import { formatDuration } from "../../config/duration.ts";
import type { HostFacts } from "../../config/lint.ts";
import { loadConfig } from "../../config/load.ts";
import type { GatewayConfig, ListenerConfig, PoolConfig } from "../../config/types.ts";
import { formatSoKeepalive, type TcpKeepalive } from "../../tcp/so-keepalive.ts";
import type { Setting } from "../hop-settings.ts";
import {
  type ConfigFiles,
  problemAt,
  type ReadResult,
  refusedReading,
  settingFrom,
  shortList,
  shortPlace,
} from "./reading.ts";

/** `selector`: a listener by name or port; "web/api" names the pool too. */
export function readHoldfast(
  file: string,
  selector: string | undefined,
  files: ConfigFiles,
  host: HostFacts,
): ReadResult {
  const text = files.read(file);
  if (!text.ok) return refusedReading(problemAt({ file, line: 0 }, text.reason));
  const loaded = loadConfig(text.text, file, host);
  if (!loaded.ok) return { ok: false, diagnostics: loaded.diagnostics };
  const found = choose(loaded.config, file, selector);
  if (!found.ok) return found;
  const { listener, pool, notes } = found;
  const at = (path: readonly (string | number)[], key: string) => {
    const place = loaded.locate([...path, key]);
    const section = path.length === 0 ? { line: 0 } : loaded.locate(path);
    // A key that is not written is located at what is around it.
    return place.line === section.line && place.column === (section as { column?: number }).column
      ? undefined
      : { file, line: place.line };
  };
  const settings =
    listener.tcp === undefined ? httpSettings(listener, pool, at) : tcpSettings(listener, pool, at);
  if (listener.tcp?.onIdle === "silent")
    notes.push(
      "on_idle: silent is shown as reset: whoever speaks next gets RST, the other end learns nothing",
    );
  return {
    ok: true,
    hop: {
      entryName: listener.tcp === undefined ? "holdfast" : "holdfast-tcp",
      where: `${shortPlace({ file, line: loaded.locate(["listeners", listener.name]).line })}, listener ${listener.name}, pool ${pool.name}`,
      settings,
      notes,
    },
    warnings: [],
  };
}

type At = (path: readonly (string | number)[], key: string) => { file: string; line: number } | undefined;

function httpSettings(listener: ListenerConfig, pool: PoolConfig, at: At): Record<string, Setting> {
  const http = listener.http!;
  const front = ["listeners", listener.name];
  const back = ["pools", pool.name];
  const upstream =
    pool.keepalive === 0
      ? "0"
      : pool.keepaliveTimeoutMs === "auto"
        ? "auto"
        : formatDuration(pool.keepaliveTimeoutMs);
  return {
    protocol: settingFrom("http", "http", at(front, "http")),
    ...tcpSide("client", listener, at, front),
    client_idle_timeout: settingFrom(
      "keepalive_timeout",
      formatDuration(http.keepaliveTimeoutMs),
      at([...front, "http"], "keepalive_timeout"),
    ),
    ...tcpSide("server", pool, at, back),
    server_timeout: settingFrom("read_timeout", formatDuration(pool.readTimeoutMs), at(back, "read_timeout")),
    upstream_idle_timeout: settingFrom(
      pool.keepalive === 0 ? "keepalive" : "keepalive_timeout (pool)",
      upstream,
      at(back, pool.keepalive === 0 ? "keepalive" : "keepalive_timeout"),
    ),
  };
}

function tcpSettings(listener: ListenerConfig, pool: PoolConfig, at: At): Record<string, Setting> {
  const { idleTimeoutMs, onIdle, halfCloseTimeoutMs } = listener.tcp!;
  const front = ["listeners", listener.name];
  const tcp = [...front, "tcp"];
  const idle = settingFrom("idle_timeout", orNever(idleTimeoutMs), at(tcp, "idle_timeout"));
  const ending = settingFrom("on_idle", onIdle === "close" ? "close" : "reset", at(tcp, "on_idle"));
  return {
    protocol: settingFrom("tcp", "tcp", at(front, "tcp")),
    ...tcpSide("client", listener, at, front),
    client_idle_timeout: idle,
    ...tcpSide("server", pool, at, ["pools", pool.name]),
    server_timeout: idle,
    half_closed:
      halfCloseTimeoutMs === 0
        ? idle
        : settingFrom(
            "half_close_timeout",
            formatDuration(halfCloseTimeoutMs),
            at(tcp, "half_close_timeout"),
          ),
    on_server_timeout: ending,
    on_client_timeout: ending,
  };
}

function tcpSide(
  side: "client" | "server",
  {
    tcpKeepalive,
    tcpUserTimeoutMs,
  }: { readonly tcpKeepalive: TcpKeepalive; readonly tcpUserTimeoutMs: number },
  at: At,
  path: readonly string[],
): Record<string, Setting> {
  const text = formatSoKeepalive(tcpKeepalive);
  return {
    [`${side}_so_keepalive`]: settingFrom(
      "so_keepalive",
      text === "unset" ? "off" : text,
      at(path, "so_keepalive"),
    ),
    [`${side}_user_timeout`]: settingFrom(
      "tcp_user_timeout",
      formatDuration(tcpUserTimeoutMs),
      at(path, "tcp_user_timeout"),
    ),
  };
}

function orNever(durationMs: number): string {
  return durationMs === 0 ? "never" : formatDuration(durationMs);
}

type Chosen =
  | {
      readonly ok: true;
      readonly listener: ListenerConfig;
      readonly pool: PoolConfig;
      readonly notes: string[];
    }
  | (ReadResult & { ok: false });

function choose(config: GatewayConfig, file: string, selector: string | undefined): Chosen {
  const wrong = (message: string, hint: string): Chosen => ({
    ok: false,
    diagnostics: [problemAt({ file, line: 0 }, message, hint)],
  });
  const [wanted = "", wantedPool] = (selector ?? "").split("/");
  const names = shortList(config.listeners.map(({ name }) => name));
  const matching = config.listeners.filter(
    ({ name, bind }) =>
      wanted === "" ||
      name === wanted ||
      bind.some((address) => address.family !== "unix" && String(address.port) === wanted),
  );
  const listener = matching[0];
  if (listener === undefined) return wrong(`has no listener ${wanted}`, `there are: ${names}`);
  if (matching.length > 1 && wanted === "")
    return wrong(
      "has several listeners",
      `say which one, for example ${file}:${listener.name}; there are: ${names}`,
    );
  const pools =
    listener.tcp === undefined
      ? [...new Set(listener.http!.routes.map((route) => route.pool))]
      : [listener.tcp.pool];
  const poolName = wantedPool ?? pools[0];
  const pool = config.pools.find(({ name }) => name === poolName);
  if (pool === undefined)
    return wrong(
      `has no pool ${poolName ?? ""}`,
      `there are: ${shortList(config.pools.map(({ name }) => name))}`,
    );
  const others = pools.filter((name) => name !== poolName);
  return {
    ok: true,
    listener,
    pool,
    notes: others.length === 0 ? [] : [`pool ${pool.name} is shown; others may differ: ${shortList(others)}`],
  };
}
