/**
 * nginx.conf with everything that it includes, and the search for the server and location that somebody means. Relative paths are
 * relative to the directory of the main file (the configuration prefix). Pure. Called by nginx.ts.
 */
import type { Diagnostic } from "../../config/diagnostics.ts";
import { type Directive, parseBraces } from "./braces.ts";
import { type ConfigFiles, problemAt, shortList, warningAt } from "./reading.ts";

/** More files than any server has. */
const FILES_MAX = 1000;
const INCLUDE_DEPTH_MAX = 16;

export type NginxTree =
  | {
      readonly ok: true;
      readonly directives: readonly Directive[];
      readonly warnings: readonly Diagnostic[];
    }
  | { readonly ok: false; readonly problems: readonly Diagnostic[] };

export function loadNginxTree(file: string, files: ConfigFiles): NginxTree {
  const loader = new NginxLoader(file, files);
  const directives = loader.load(file, undefined, 0);
  if (loader.problems.length > 0) return { ok: false, problems: loader.problems };
  return { ok: true, directives, warnings: loader.warnings };
}

class NginxLoader {
  readonly problems: Diagnostic[] = [];
  readonly warnings: Diagnostic[] = [];
  readonly #prefix: string;
  readonly #files: ConfigFiles;
  /** Files that are being read right now, each included by the one before. */
  readonly #open = new Set<string>();
  #fileCount = 0;

  constructor(mainFile: string, files: ConfigFiles) {
    this.#prefix = mainFile.slice(0, mainFile.lastIndexOf("/") + 1);
    this.#files = files;
  }

  load(file: string, includedBy: Directive | undefined, depth: number): readonly Directive[] {
    const result = this.#files.read(file);
    if (!result.ok) {
      // A copy of nginx.conf seldom comes with mime.types: what can be read is still worth an answer.
      if (includedBy === undefined) this.problems.push(problemAt({ file, line: 0 }, result.reason));
      else
        this.warnings.push(
          warningAt(includedBy, `${file} ${result.reason}: what it says is not taken into account`),
        );
      return [];
    }
    if (this.#open.has(file)) {
      this.problems.push(problemAt(includedBy ?? { file, line: 0 }, `${file} includes itself`));
      return [];
    }
    this.#open.add(file);
    const { directives, problems } = parseBraces(result.text, file, "nginx");
    this.problems.push(...problems);
    const expanded = this.#expand(directives, depth);
    this.#open.delete(file);
    return expanded;
  }

  #expand(directives: readonly Directive[], depth: number): readonly Directive[] {
    return directives.flatMap((directive) => {
      if (directive.name === "include" && directive.block === undefined)
        return this.#include(directive, depth);
      if (directive.block === undefined) return [directive];
      return [{ ...directive, block: this.#expand(directive.block, depth) }];
    });
  }

  #include(directive: Directive, depth: number): readonly Directive[] {
    const pattern = directive.args[0] ?? "";
    const path = pattern.startsWith("/") ? pattern : this.#prefix + pattern;
    if (depth >= INCLUDE_DEPTH_MAX || this.#fileCount >= FILES_MAX) {
      if (this.problems.length === 0) this.problems.push(problemAt(directive, "too many includes"));
      return [];
    }
    const paths = /[*?[]/.test(path) ? this.#files.glob(path) : [path];
    return paths.flatMap((found) => {
      if (++this.#fileCount > FILES_MAX || this.problems.length > 0) return [];
      return this.load(found, directive, depth + 1);
    });
  }
}

/** Where in the tree the values of a hop are looked for. */
export interface NginxPlace {
  readonly kind: "http" | "stream";
  readonly server: Directive;
  readonly location: Directive | undefined;
  readonly listen: Directive | undefined;
  /** `listen` of other servers on the same address. */
  readonly sameListens: readonly Directive[];
  /** Blocks that directives are inherited through, the innermost first. */
  readonly scopes: readonly (readonly Directive[])[];
  readonly upstreams: ReadonlyMap<string, Directive>;
  readonly notes: readonly string[];
}

interface Server {
  readonly kind: "http" | "stream";
  readonly directive: Directive;
  readonly listens: readonly Directive[];
  readonly names: readonly string[];
  readonly outer: readonly Directive[];
}

type Found =
  | { readonly ok: true; readonly place: NginxPlace }
  | { readonly ok: false; readonly problem: Diagnostic };

export function findNginxServer(
  tree: { readonly directives: readonly Directive[] },
  file: string,
  selector: string | undefined,
): Found {
  const servers = serversOf(tree.directives);
  const wrong = (message: string, hint: string): Found => ({
    ok: false,
    problem: problemAt({ file, line: 0 }, message, hint),
  });
  if (servers.length === 0)
    return wrong("has no server block in http or stream", "is this the main nginx.conf?");
  const { port, name, path } = parseSelector(selector ?? "");
  const matching = servers.filter(
    (server) =>
      (port === undefined ||
        server.listens.some((listen) => portOf(listen) === port) ||
        (server.listens.length === 0 && port === "80")) &&
      (name === undefined || server.names.includes(name)),
  );
  const choices = shortList([...new Set(servers.map(selectorOf))]);
  if (matching.length === 0) return wrong(`has no server ${selector ?? ""}`, `servers: ${choices}`);
  const passing = matching.filter((server) => passesOn(server.directive));
  const candidates = selector === undefined && passing.length > 0 ? passing : matching;
  if (selector === undefined && candidates.length > 1) {
    return wrong(
      "has several servers",
      `say which one, for example ${file}:${selectorOf(candidates[0]!)}; servers: ${choices}`,
    );
  }
  const isDefault = ({ listens }: Server) => listens.some(({ args }) => args.includes("default_server"));
  const server =
    candidates.find(isDefault) ?? candidates.find(({ directive }) => passesOn(directive)) ?? candidates[0]!;
  const notes =
    candidates.length > 1 ? [`${candidates.length} servers match; this is ${selectorOf(server)}`] : [];
  return choosePlace(server, servers, port, path, notes, wrong);
}

function choosePlace(
  server: Server,
  servers: readonly Server[],
  port: string | undefined,
  path: string | undefined,
  notes: readonly string[],
  wrong: (message: string, hint: string) => Found,
): Found {
  const listen =
    server.listens.find((candidate) => port === undefined || portOf(candidate) === port) ?? server.listens[0];
  const block = server.directive.block ?? [];
  const chain =
    server.kind === "http"
      ? chooseLocation(block, path)
      : { ok: true as const, locations: [], note: undefined };
  if (!chain.ok) return wrong(`has no location for ${path ?? ""}`, `locations: ${chain.choices}`);
  const sameListens = servers
    .filter(({ kind }) => kind === server.kind)
    .flatMap(({ listens }) => listens)
    .filter(
      (candidate) =>
        candidate !== listen && listen !== undefined && addressOf(candidate) === addressOf(listen),
    );
  const upstreams = server.outer.filter(
    ({ name, block: inner }) => name === "upstream" && inner !== undefined,
  );
  return {
    ok: true,
    place: {
      kind: server.kind,
      server: server.directive,
      location: chain.locations[0],
      listen,
      sameListens,
      scopes: [...chain.locations.map((location) => location.block ?? []), block, server.outer],
      upstreams: new Map(upstreams.map((upstream) => [upstream.args[0] ?? "", upstream])),
      notes: chain.note === undefined ? notes : [...notes, chain.note],
    },
  };
}

function serversOf(directives: readonly Directive[]): readonly Server[] {
  return directives.flatMap((outer) => {
    if ((outer.name !== "http" && outer.name !== "stream") || outer.block === undefined) return [];
    const kind: Server["kind"] = outer.name;
    const block = outer.block;
    return block
      .filter(({ name, block: inner }) => name === "server" && inner !== undefined)
      .map((directive) => ({
        kind,
        directive,
        listens: directive.block!.filter(({ name }) => name === "listen"),
        names: directive.block!.filter(({ name }) => name === "server_name").flatMap(({ args }) => args),
        outer: block,
      }));
  });
}

/** "80", "name", "80/path", "80:name/path", "/path". */
function parseSelector(selector: string): {
  port: string | undefined;
  name: string | undefined;
  path: string | undefined;
} {
  const slash = selector.indexOf("/");
  const head = slash < 0 ? selector : selector.slice(0, slash);
  const parts = head.split(":").filter((part) => part !== "");
  return {
    port: parts.find((part) => /^\d+$/.test(part)),
    name: parts.find((part) => !/^\d+$/.test(part)),
    path: slash < 0 ? undefined : selector.slice(slash),
  };
}

function selectorOf({ listens, names }: Server): string {
  const port = listens.length === 0 ? "80" : (portOf(listens[0]!) ?? "");
  const name = names.find((candidate) => candidate !== "_" && candidate !== "");
  return name === undefined ? port : `${port}:${name}`;
}

/** `80`, `127.0.0.1:8080`, `[::]:80`, `127.0.0.1` (80); undefined: a UNIX socket. */
function portOf({ args }: Directive): string | undefined {
  const address = args[0] ?? "80";
  if (address.startsWith("unix:")) return undefined;
  if (/^\d+$/.test(address)) return address;
  return /:(\d+)$/.exec(address)?.[1] ?? "80";
}

function addressOf(listen: Directive): string {
  const address = listen.args[0] ?? "80";
  return /^\d+$/.test(address) ? `*:${address}` : address;
}

const PASS = /^(proxy|fastcgi|uwsgi|scgi|grpc|memcached)_pass$/;

function passesOn(directive: Directive): boolean {
  return (directive.block ?? []).some(
    (inner) => PASS.test(inner.name) || (inner.name === "location" && passesOn(inner)),
  );
}

type Chain =
  | { readonly ok: true; readonly locations: readonly Directive[]; readonly note: string | undefined }
  | { readonly ok: false; readonly choices: string };

/** Nested locations, the innermost first. */
function chooseLocation(block: readonly Directive[], path: string | undefined): Chain {
  const all = locationsIn(block, []);
  const passing = all.filter(([location]) => (location!.block ?? []).some(({ name }) => PASS.test(name)));
  const nameOf = (location: Directive): string => location.args.join(" ");
  if (path !== undefined) {
    const matches = all
      .filter(([location]) => matchesPath(location!, path))
      .toSorted(([a], [b]) => (b!.args.at(-1) ?? "").length - (a!.args.at(-1) ?? "").length);
    if (matches[0] !== undefined) return { ok: true, locations: matches[0], note: undefined };
    return { ok: false, choices: shortList(all.map(([location]) => nameOf(location!))) || "none" };
  }
  const chosen = passing.find(([location]) => location!.args.at(-1) === "/") ?? passing[0];
  if (chosen === undefined) return { ok: true, locations: [], note: undefined };
  const others = passing.filter((candidate) => candidate !== chosen).map(([location]) => nameOf(location!));
  const note =
    others.length === 0
      ? undefined
      : `location ${nameOf(chosen[0]!)} is shown; others may differ: ${shortList(others)}`;
  return { ok: true, locations: chosen, note };
}

function locationsIn(block: readonly Directive[], outer: readonly Directive[]): (readonly Directive[])[] {
  return block
    .filter(({ name, block: inner }) => name === "location" && inner !== undefined)
    .flatMap((location) => {
      const chain = [location, ...outer];
      return [chain, ...locationsIn(location.block!, chain)];
    });
}

/** Prefixes and `=`; a regular expression only when it is written out: running it would need PCRE. */
function matchesPath({ args }: Directive, path: string): boolean {
  const [modifier, pattern] = args.length > 1 ? [args[0], args[1]!] : ["", args[0] ?? "/"];
  if (modifier === "=") return path === pattern;
  if (modifier === "~" || modifier === "~*") return path === pattern || path === `/${pattern}`;
  return path.startsWith(pattern);
}
