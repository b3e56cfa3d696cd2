/**
 * What haproxy.cfg says about one frontend and its backend, or one `listen`: time-outs of both sides and TCP keepalive. Rules of the
 * configuration manual, section 4 (`timeout client`, `timeout http-keep-alive`, `timeout tunnel`, `option clitcpka`, …); a bare number
 * is milliseconds. Sections and their inheritance are in haproxy-sections.ts. Pure. Called by path-resolution.ts.
 */
import type { Diagnostic } from "../../config/diagnostics.ts";
import { formatDuration } from "../../config/duration.ts";
import { readField, type Setting } from "../hop-settings.ts";
import {
  findHaproxyPair,
  type HaproxyLine,
  type HaproxyPair,
  type HaproxyScope,
  parseHaproxySections,
} from "./haproxy-sections.ts";
import {
  type ConfigFiles,
  problemAt,
  type ReadResult,
  refusedReading,
  settingFrom,
  shortPlace,
  warningAt,
} from "./reading.ts";

/** `selector`: a frontend or listen by name or port; "web/api" names the backend too. */
export function readHaproxy(file: string, selector: string | undefined, files: ConfigFiles): ReadResult {
  const text = files.read(file);
  if (!text.ok) return refusedReading(problemAt({ file, line: 0 }, text.reason));
  const { sections, problems } = parseHaproxySections(text.text, file);
  if (problems.length > 0) return refusedReading(...problems);
  const found = findHaproxyPair(sections, file, selector);
  if (!found.ok) return refusedReading(found.problem);
  const reading = new HaproxyReading(found.pair);
  const settings = reading.settings();
  if (reading.problems.length > 0) return refusedReading(...reading.problems);
  const { front, back } = found.pair;
  const name = `${front.section.kind} ${front.section.name}`;
  return {
    ok: true,
    hop: {
      entryName: reading.mode === "http" ? "haproxy" : "haproxy-tcp",
      where: `${shortPlace(front.section)}, ${name}${back.section === front.section ? "" : `, backend ${back.section.name}`}`,
      settings,
      notes: [...found.pair.notes, ...reading.notes],
    },
    warnings: reading.warnings,
  };
}

class HaproxyReading {
  readonly problems: Diagnostic[] = [];
  readonly warnings: Diagnostic[] = [];
  readonly notes: string[] = [];
  readonly mode: "http" | "tcp";
  readonly #pair: HaproxyPair;

  constructor(pair: HaproxyPair) {
    this.#pair = pair;
    this.mode = pair.front.find("mode")?.args[0] === "http" ? "http" : "tcp";
  }

  settings(): Record<string, Setting> {
    const { front, back } = this.#pair;
    const settings: Record<string, Setting> = {
      protocol: settingFrom("mode", this.mode, front.find("mode")),
      ...this.#keepalive("client", front, "clitcpka"),
      ...this.#keepalive("server", back, "srvtcpka"),
      ...this.#userTimeouts(),
    };
    const client = this.#timeout(front, "client");
    const server = this.#timeout(back, "server");
    for (const [name, found, section] of [
      ["client", client, front.section],
      ["server", server, back.section],
    ] as const) {
      if (found === undefined)
        this.warnings.push(
          warningAt(
            section,
            `no timeout ${name}: a connection that is silent stays for ever`,
            `write timeout ${name} 1m`,
          ),
        );
    }
    return {
      ...settings,
      ...(this.mode === "http" ? this.#httpTimes(client, server) : this.#tcpTimes(client, server)),
    };
  }

  /** `timeout http-keep-alive`, else `http-request`, else `client`; and never longer than `timeout client` (haproxy #2334). */
  #httpTimes(client: Setting | undefined, server: Setting | undefined): Record<string, Setting> {
    const { front, back } = this.#pair;
    const between = this.#timeout(front, "http-keep-alive") ?? this.#timeout(front, "http-request");
    const idle =
      between === undefined
        ? client
        : client === undefined || durationOf(between) <= durationOf(client)
          ? between
          : client;
    const closesClient = option(front, "httpclose");
    // httpclose works where it stands: the frontend's closes the client, the backend's the server.
    const closesServer =
      option(back, "http-server-close") ?? option(front, "http-server-close") ?? option(back, "httpclose");
    const tunnel = this.#timeout(back, "tunnel");
    if (tunnel !== undefined)
      this.notes.push(`timeout tunnel ${tunnel.text} takes over after an upgrade (WebSocket)`);
    const purge = this.#serverParameter("pool-purge-delay");
    return {
      client_idle_timeout:
        closesClient === undefined
          ? (idle ?? never("timeout client"))
          : settingFrom("option httpclose", "0", closesClient),
      server_timeout: server ?? never("timeout server"),
      upstream_idle_timeout:
        closesServer === undefined
          ? this.#duration("pool-purge-delay", purge, "5s")
          : settingFrom(`option ${closesServer.args[0] ?? ""}`, "0", closesServer),
      ...this.#halfClosed(undefined),
    };
  }

  /** In a tunnel, `timeout tunnel` replaces both others. */
  #tcpTimes(client: Setting | undefined, server: Setting | undefined): Record<string, Setting> {
    const tunnel = this.#timeout(this.#pair.back, "tunnel") ?? this.#timeout(this.#pair.front, "tunnel");
    const shorter = [client, server]
      .filter((setting) => setting !== undefined)
      .toSorted((a, b) => durationOf(a) - durationOf(b))[0];
    return {
      client_idle_timeout: tunnel ?? client ?? never("timeout client"),
      server_timeout: tunnel ?? server ?? never("timeout server"),
      ...this.#halfClosed(tunnel ?? shorter),
    };
  }

  #halfClosed(otherwise: Setting | undefined): Record<string, Setting> {
    const fins = [
      this.#timeout(this.#pair.front, "client-fin"),
      this.#timeout(this.#pair.back, "server-fin"),
    ];
    const shortest = fins
      .filter((setting) => setting !== undefined)
      .toSorted((a, b) => durationOf(a) - durationOf(b))[0];
    const setting = shortest ?? otherwise;
    return setting === undefined ? {} : { half_closed: setting };
  }

  #timeout(scope: HaproxyScope, name: string): Setting | undefined {
    const line = scope.find("timeout", name);
    return line === undefined
      ? undefined
      : this.#duration(`timeout ${name}`, { line, text: line.args[1] }, "never");
  }

  #duration(
    label: string,
    found: { line: HaproxyLine; text: string | undefined } | undefined,
    otherwise: string,
  ): Setting {
    if (found === undefined) return settingFrom(label, otherwise, undefined);
    const ms = haproxyTimeMs(found.text ?? "");
    if (ms === undefined) {
      this.problems.push(
        problemAt(
          found.line,
          `${label}: "${found.text ?? ""}" is not a time`,
          "write 50s, 5m or a number of milliseconds",
        ),
      );
      return settingFrom(label, otherwise, found.line);
    }
    return settingFrom(label, ms === 0 ? "never" : formatDuration(ms), found.line);
  }

  #keepalive(
    side: "client" | "server",
    scope: HaproxyScope,
    own: "clitcpka" | "srvtcpka",
  ): Record<string, Setting> {
    const on = option(scope, own) ?? option(scope, "tcpka");
    const settings: Record<string, Setting> = {
      [`${side}_so_keepalive`]: settingFrom(
        `option ${on?.args[0] ?? own}`,
        on === undefined ? "off" : "on",
        on ?? scope.find("option", own),
      ),
    };
    for (const [suffix, part] of [
      ["idle", "idle"],
      ["intvl", "interval"],
      ["cnt", "count"],
    ] as const) {
      const line = scope.find(`${own}-${suffix}`);
      if (line === undefined) continue;
      const field = `${side}_keepalive_${part}`;
      const ms = haproxyTimeMs(line.args[0] ?? "");
      const raw = suffix === "cnt" || ms === undefined ? line.args[0] : formatDuration(ms);
      const result = readField("proxy", field, raw);
      if (result.ok) settings[field] = settingFrom(`${own}-${suffix}`, result.value, line);
      else this.problems.push(problemAt(line, `${own}-${suffix}: ${result.reason}`, result.hint));
    }
    return settings;
  }

  /** `tcp-ut` of bind and of server lines. */
  #userTimeouts(): Record<string, Setting> {
    const settings: Record<string, Setting> = {};
    const bind = parameterOf(this.#pair.front.all("bind"), "tcp-ut");
    const server = this.#serverParameter("tcp-ut");
    if (bind !== undefined) settings.client_user_timeout = this.#duration("tcp-ut (bind)", bind, "0");
    if (server !== undefined) settings.server_user_timeout = this.#duration("tcp-ut (server)", server, "0");
    return settings;
  }

  #serverParameter(name: string): { line: HaproxyLine; text: string | undefined } | undefined {
    const { back } = this.#pair;
    return parameterOf(back.all("server"), name) ?? parameterOf(back.all("default-server"), name);
  }
}

function parameterOf(
  lines: readonly HaproxyLine[],
  name: string,
): { line: HaproxyLine; text: string | undefined } | undefined {
  const line = lines.find(({ args }) => args.includes(name));
  return line === undefined ? undefined : { line, text: line.args[line.args.indexOf(name) + 1] };
}

/** The line that switches an option on; `no option x` in a nearer section switches it off. */
function option(scope: HaproxyScope, name: string): HaproxyLine | undefined {
  const line = scope.find("option", name);
  return line === undefined || line.isNegated ? undefined : line;
}

const UNITS: Readonly<Record<string, number>> = {
  us: 0.001,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** Configuration manual, section 2.5: a number and one unit; without one, milliseconds. */
export function haproxyTimeMs(text: string): number | undefined {
  const match = /^(\d{1,15})(us|ms|s|m|h|d)?$/.exec(text);
  if (match === null) return undefined;
  const ms = Math.ceil(Number(match[1]) * UNITS[match[2] ?? "ms"]!);
  return ms <= 2 ** 31 * 1000 ? ms : undefined;
}

function never(label: string): Setting {
  return settingFrom(label, "never", undefined, "no default");
}

function durationOf({ text }: Setting): number {
  if (text === "never") return Number.POSITIVE_INFINITY;
  let ms = 0;
  for (const [, number, unit] of text.matchAll(/(\d+)(ms|[smhd])/g)) ms += Number(number) * UNITS[unit!]!;
  return ms;
}
