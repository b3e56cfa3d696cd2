/**
 * What nginx.conf says about one server (and location): how long it keeps quiet connections on both sides, and whether the kernel
 * probes them. Inheritance http → server → location and `stream` as in the nginx documentation (ngx_http_core_module,
 * ngx_http_proxy_module, ngx_http_upstream_module, ngx_stream_proxy_module); what is not written has nginx's default.
 * Pure: files are an argument. Called by path-resolution.ts. nginx-tree.ts finds the server, braces.ts has the syntax.
 */
import type { Diagnostic } from "../../config/diagnostics.ts";
import { parseSoKeepalive } from "../../tcp/so-keepalive.ts";
import { readField, type Setting } from "../hop-settings.ts";
import type { Directive } from "./braces.ts";
import { findNginxServer, loadNginxTree, type NginxPlace } from "./nginx-tree.ts";
import {
  type ConfigFiles,
  problemAt,
  type ReadResult,
  refusedReading,
  settingFrom,
  shortPlace,
  warningAt,
} from "./reading.ts";

/** `selector`: "80", "example.org", "80/api", "80:example.org/api"; undefined: the only server that passes requests on. */
export function readNginx(file: string, selector: string | undefined, files: ConfigFiles): ReadResult {
  const tree = loadNginxTree(file, files);
  if (!tree.ok) return refusedReading(...tree.problems);
  const found = findNginxServer(tree, file, selector);
  if (!found.ok) return refusedReading(found.problem);
  const reading = new NginxReading(found.place);
  const hop = found.place.kind === "stream" ? reading.streamSettings() : reading.httpSettings();
  if (reading.problems.length > 0) return refusedReading(...reading.problems);
  const { server, location, listen } = found.place;
  const where = [
    shortPlace(location ?? server),
    listen === undefined ? "" : `listen ${listen.args[0] ?? ""}`,
    location === undefined ? "" : `location ${location.args.join(" ")}`,
  ];
  return {
    ok: true,
    hop: {
      entryName: found.place.kind === "stream" ? "nginx-stream" : "nginx",
      where: where.filter((part) => part !== "").join(", "),
      settings: hop,
      notes: [...found.place.notes, ...reading.notes],
    },
    warnings: [...tree.warnings, ...reading.warnings],
  };
}

/** Modules that pass requests on; each has its own `X_pass`, `X_read_timeout` and `X_socket_keepalive`. */
type PassModule = { readonly name: string; readonly pass: Directive };

class NginxReading {
  readonly problems: Diagnostic[] = [];
  readonly warnings: Diagnostic[] = [];
  readonly notes: string[] = [];
  readonly #place: NginxPlace;

  constructor(place: NginxPlace) {
    this.#place = place;
  }

  httpSettings(): Record<string, Setting> {
    const passing = this.#passModule();
    const module = passing?.name ?? "proxy";
    if (passing === undefined)
      this.notes.push("this location passes nothing on; values are those that proxy_pass would have");
    const abort = this.#find(`${module}_ignore_client_abort`);
    return {
      protocol: settingFrom("protocol", "http", undefined, "http { }"),
      client_so_keepalive: this.#listenKeepalive(),
      client_idle_timeout: this.#duration("client_idle_timeout", "keepalive_timeout", "75s"),
      server_so_keepalive: this.#flag(`${module}_socket_keepalive`),
      server_timeout: this.#duration("server_timeout", `${module}_read_timeout`, "60s"),
      upstream_idle_timeout: this.#upstreamIdle(passing),
      half_closed: settingFrom("half_closed", abort?.args[0] === "on" ? "never" : "0", abort),
    };
  }

  streamSettings(): Record<string, Setting> {
    const half = this.#find("proxy_half_close");
    return {
      protocol: settingFrom("protocol", "tcp", undefined, "stream { }"),
      client_so_keepalive: this.#listenKeepalive(),
      client_idle_timeout: this.#duration("client_idle_timeout", "proxy_timeout", "10m"),
      server_so_keepalive: this.#flag("proxy_socket_keepalive"),
      server_timeout: this.#duration("server_timeout", "proxy_timeout", "10m"),
      half_closed: settingFrom("half_closed", half?.args[0] === "on" ? "never" : "0", half),
    };
  }

  /** The innermost place where it is written. */
  #find(name: string): Directive | undefined {
    for (const scope of this.#place.scopes) {
      const found = scope.find((directive) => directive.name === name && directive.block === undefined);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #duration(field: string, name: string, otherwise: string): Setting {
    const directive = this.#find(name);
    if (directive === undefined) return settingFrom(name, otherwise, undefined);
    const result = readField("proxy", field, directive.args[0]);
    if (result.ok) return settingFrom(name, result.value, directive);
    this.problems.push(problemAt(directive, `${name}: ${result.reason}`, result.hint));
    return settingFrom(name, otherwise, directive);
  }

  #flag(name: string): Setting {
    const directive = this.#find(name);
    return settingFrom(name, directive?.args[0] === "on" ? "on" : "off", directive);
  }

  /** Options of `listen` belong to the address: one server block sets them for all that share it. */
  #listenKeepalive(): Setting {
    const { listen, sameListens } = this.#place;
    const candidates = [...(listen === undefined ? [] : [listen]), ...sameListens];
    for (const candidate of candidates) {
      const option = candidate.args.find((arg) => arg.startsWith("so_keepalive="));
      if (option === undefined) continue;
      const text = option.slice("so_keepalive=".length);
      const result = parseSoKeepalive(text);
      if (result.ok) return settingFrom("so_keepalive", text, candidate);
      this.problems.push(problemAt(candidate, `so_keepalive: ${result.reason}`, result.hint));
    }
    return settingFrom("so_keepalive", "off", undefined);
  }

  #passModule(): PassModule | undefined {
    const block = this.#place.scopes[0] ?? [];
    const pass = block.find(({ name }) => /^(proxy|fastcgi|uwsgi|scgi|grpc|memcached)_pass$/.test(name));
    return pass === undefined ? undefined : { name: pass.name.replace(/_pass$/, ""), pass };
  }

  /** Idle connections to the server: `keepalive` of the upstream, and what must be said so that it works. */
  #upstreamIdle(passing: PassModule | undefined): Setting {
    const target = passing?.pass.args[0] ?? "";
    const name = /^(?:[a-z]+:\/\/)?([^/:]+)/.exec(target)?.[1] ?? "";
    const upstream = this.#place.upstreams.get(name);
    const keepalive = upstream?.block?.find((directive) => directive.name === "keepalive");
    if (upstream === undefined || keepalive === undefined) {
      return settingFrom("keepalive (upstream)", "0", undefined, "default before nginx 1.29.7");
    }
    if (keepalive.args[0] === "0") return settingFrom("keepalive (upstream)", "0", keepalive);
    const missing = this.#missingForPersistence(passing!.name);
    if (missing !== undefined) {
      this.warnings.push(
        warningAt(
          keepalive,
          `keepalive ${keepalive.args[0] ?? ""} has no effect before nginx 1.29.7: ${missing}`,
          PERSISTENCE_HINT,
        ),
      );
      this.notes.push(`idle connections to ${name} are not kept: ${missing}`);
      return settingFrom("keepalive (upstream)", "0", keepalive);
    }
    const timeout = upstream.block!.find((directive) => directive.name === "keepalive_timeout");
    if (timeout === undefined) return settingFrom("keepalive_timeout (upstream)", "60s", undefined);
    const result = readField("proxy", "upstream_idle_timeout", timeout.args[0]);
    if (!result.ok)
      this.problems.push(problemAt(timeout, `keepalive_timeout: ${result.reason}`, result.hint));
    return settingFrom("keepalive_timeout (upstream)", result.ok ? result.value : "60s", timeout);
  }

  #missingForPersistence(module: string): string | undefined {
    if (module === "fastcgi")
      return this.#find("fastcgi_keep_conn")?.args[0] === "on" ? undefined : "fastcgi_keep_conn is not on";
    if (module !== "proxy") return undefined;
    const version = this.#find("proxy_http_version")?.args[0] ?? "1.0";
    if (version === "1.0") return "proxy_http_version is not 1.1";
    // All headers of an inner level replace all of the outer ones.
    const headers = this.#place.scopes.map((scope) =>
      scope.filter(({ name }) => name === "proxy_set_header"),
    );
    const effective = headers.find((level) => level.length > 0) ?? [];
    const connection = effective.find(({ args }) => args[0]?.toLowerCase() === "connection")?.args[1];
    return connection === undefined ? 'proxy_set_header Connection "" is missing' : undefined;
  }
}

const PERSISTENCE_HINT =
  'write proxy_http_version 1.1; and proxy_set_header Connection ""; beside proxy_pass';
