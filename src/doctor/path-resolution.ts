/**
 * From what was asked (path-request.ts) to hops: names are looked up in the catalogue, files are read by readers/, overrides are laid over
 * both. All problems are reported, not the first. Pure: files and host facts are arguments. Called by cli/predict.ts.
 */
import type { Diagnostic } from "../config/diagnostics.ts";
import type { HostFacts } from "../config/lint.ts";
import { findEntry, knownName, similarNames } from "./catalogue.ts";
import {
  type CatalogueEntry,
  hopOf,
  knobsOf,
  type Override,
  type Role,
  readOverride,
} from "./catalogue-entry.ts";
import type { Hop, Path } from "./hop.ts";
import {
  type DescribedHop,
  type KernelDefaults,
  LINUX_KERNEL_DEFAULTS,
  type Setting,
} from "./hop-settings.ts";
import type { FileRequest, HopRequest, PathRequest } from "./path-request.ts";
import { readHaproxy } from "./readers/haproxy.ts";
import { readHoldfast } from "./readers/holdfast.ts";
import { readIpvs } from "./readers/ipvs.ts";
import { readKeepalived } from "./readers/keepalived.ts";
import { readNginx } from "./readers/nginx.ts";
import type { ConfigFiles, ReadHop, ReadResult } from "./readers/reading.ts";
import { readConntrack, readKernelDefaults } from "./readers/sysctl.ts";

/** A path and what each hop was made of. */
export interface DescribedPath {
  readonly path: Path;
  readonly hops: readonly DescribedHop[];
  readonly warnings: readonly Diagnostic[];
}

export type Resolution =
  | { readonly ok: true; readonly described: DescribedPath }
  | { readonly ok: false; readonly diagnostics: readonly Diagnostic[] };

export interface ResolutionFacts {
  readonly files: ConfigFiles;
  readonly host: HostFacts;
}

export function resolvePath(request: PathRequest, facts: ResolutionFacts): Resolution {
  const problems: Diagnostic[] = [];
  const warnings: Diagnostic[] = [];
  const hops: DescribedHop[] = [];
  const last = request.hops.length - 1;
  for (const [index, hop] of request.hops.entries()) {
    const position = index === 0 ? "first" : index === last ? "last" : "middle";
    const result = new HopResolution(hop, position, facts).resolve();
    problems.push(...result.problems);
    warnings.push(...result.warnings);
    if (result.hop !== undefined) hops.push(result.hop);
  }
  if (request.hops.length < 2 && problems.length === 0) {
    const complain = request.hops[0]?.complain ?? nowhere;
    problems.push(
      complain(
        "a path has at least two hops, a client and a server",
        "example: holdfast predict client aws-nlb node-http",
      ),
    );
  }
  if (problems.length > 0) return { ok: false, diagnostics: problems };
  const learned = withLearnedTimeouts(hops);
  return { ok: true, described: { path: { hops: learned.map(({ hop }) => hop) }, hops: learned, warnings } };
}

function nowhere(message: string, hint: string | undefined): Diagnostic {
  return { severity: "error", file: "path", line: 0, column: 0, path: "", message, hint };
}

type Position = "first" | "middle" | "last";

class HopResolution {
  readonly problems: Diagnostic[] = [];
  readonly warnings: Diagnostic[] = [];
  hop: DescribedHop | undefined;
  readonly #request: HopRequest;
  readonly #position: Position;
  readonly #facts: ResolutionFacts;

  constructor(request: HopRequest, position: Position, facts: ResolutionFacts) {
    this.#request = request;
    this.#position = position;
    this.#facts = facts;
  }

  resolve(): this {
    const { file, name } = this.#request;
    const read = file === undefined || this.#isOnlyKernelFile(file) ? undefined : this.#readFile(file);
    if (this.problems.length > 0) return this;
    const entry = this.#findEntry(name, read);
    if (entry === undefined) return this;
    if (read !== undefined && entry.kind !== knownName(read.entryName).kind) {
      this.#complain(
        `${file!.path} describes a ${knownName(read.entryName).title}, and ${entry.name} is none`,
        `leave the name out, or write ${read.entryName}`,
      );
      return this;
    }
    const kernel = this.#kernelDefaults();
    const settings = this.#overrides(entry);
    if (this.problems.length > 0 || !this.#isInPlace(entry)) return this;
    this.hop = hopOf(entry, {
      role: this.#position === "last" ? "server" : "client",
      settings: { ...read?.settings, ...settings },
      kernel: kernel.kernel,
      name: this.#request.label ?? entry.name,
      notes: [
        ...(read?.notes ?? []),
        ...(kernel.where === undefined ? [] : [`kernel defaults from ${kernel.where}`]),
      ],
      ...(read === undefined ? {} : { source: { text: read.where } }),
    });
    return this;
  }

  /** `sysctl:FILE` at an end of the path is that end's kernel, and nothing else. */
  #isOnlyKernelFile({ kind }: FileRequest): boolean {
    return kind === "sysctl" && this.#position !== "middle";
  }

  #findEntry(name: string | undefined, read: ReadHop | undefined): CatalogueEntry | undefined {
    // A file knows better than a name whether it is http or stream.
    if (read !== undefined && (name === undefined || knownName(read.entryName).name.startsWith(name)))
      return knownName(read.entryName);
    const wanted = name ?? (this.#position === "last" ? "server" : "client");
    const entry = findEntry(wanted);
    if (entry !== undefined) return entry;
    const near = similarNames(wanted);
    const hint =
      near.length === 0
        ? "holdfast predict --list shows all that are known"
        : `did you mean ${near.join(" or ")}?`;
    this.#complain(`"${wanted}" is not a known box or program`, hint);
    return undefined;
  }

  #readFile(file: FileRequest): ReadHop | undefined {
    const result = readFileOf(file, this.#facts);
    if (result.ok) {
      this.warnings.push(...result.warnings);
      return result.hop;
    }
    this.problems.push(...result.diagnostics);
    return undefined;
  }

  #kernelDefaults(): { readonly kernel: KernelDefaults; readonly where: string | undefined } {
    const { kernelFile, file } = this.#request;
    const path = kernelFile ?? (file !== undefined && this.#isOnlyKernelFile(file) ? file.path : undefined);
    if (path === undefined) return { kernel: LINUX_KERNEL_DEFAULTS, where: undefined };
    const result = readKernelDefaults(path, this.#facts.files);
    if (result.ok) return result;
    this.problems.push(...result.diagnostics);
    return { kernel: LINUX_KERNEL_DEFAULTS, where: undefined };
  }

  /** More special words win over words for several fields at once (`idle_timeout`), whatever their order. */
  #overrides(entry: CatalogueEntry): Readonly<Record<string, Setting>> {
    const read = (override: Override): Readonly<Record<string, Setting>> => {
      const result = readOverride(entry, override);
      if (result.ok) return result.value;
      const { key } = override;
      const part = Object.hasOwn(knobsOf(entry), key) ? "value" : "key";
      this.problems.push(this.#request.complain(result.reason, result.hint, { key, part }));
      return {};
    };
    const settings = this.#request.overrides.map(read);
    return Object.assign({}, ...settings.toSorted((a, b) => Object.keys(b).length - Object.keys(a).length));
  }

  #isInPlace(entry: CatalogueEntry): boolean {
    const isEnd = entry.kind === "end-point";
    if (this.#position === "middle") {
      if (!isEnd) return true;
      return this.#complain(
        `${entry.name} is an end point and stands in the middle`,
        "end points are the first and the last hop; in between are boxes and proxies",
      );
    }
    const role: Role = this.#position === "first" ? "client" : "server";
    if (!isEnd) {
      const where = role === "client" ? "begins" : "ends";
      return this.#complain(
        `the path ${where} with ${entry.name}, which is no end point`,
        `write a ${role} there: ${role}, or a program such as ${role === "client" ? "node-fetch, go, libpq" : "node-http, postgres, redis"}`,
      );
    }
    if (entry.roles === "both" || entry.roles === undefined || entry.roles === role) return true;
    return this.#complain(
      `${entry.name} is a ${entry.roles}, not a ${role}`,
      `write it at the other end, or ${role} here`,
    );
  }

  #complain(message: string, hint: string | undefined): false {
    this.problems.push(this.#request.complain(message, hint));
    return false;
  }
}

function readFileOf({ kind, path, selector }: FileRequest, { files, host }: ResolutionFacts): ReadResult {
  switch (kind) {
    case "nginx":
      return readNginx(path, selector, files);
    case "haproxy":
      return readHaproxy(path, selector, files);
    case "keepalived":
      return readKeepalived(path, selector, files);
    case "ipvs":
      return readIpvs(path, selector, files);
    case "sysctl":
      return readConntrack(path, files);
    case "holdfast":
      return readHoldfast(path, selector, files, host);
  }
}

/** `keepalive_timeout: auto` (learned-idle-timeout.ts) lets go a tenth before the next program that ends TCP. */
function withLearnedTimeouts(hops: readonly DescribedHop[]): readonly DescribedHop[] {
  return hops.map((described, index) => {
    const { hop, settings } = described;
    const setting = settings.upstream_idle_timeout;
    if (hop.kind !== "proxy" || setting?.text !== "auto") return described;
    const next = hops.slice(index + 1).find((other) => other.hop.kind !== "packet-box")?.hop;
    const limitMs = next === undefined ? undefined : idleLimitMs(next);
    const upstreamIdleTimeoutMs = limitMs === undefined ? KEEPALIVE_TIME_MS : Math.floor(limitMs * 0.9);
    return { ...described, hop: { ...hop, upstreamIdleTimeoutMs } };
  });
}

/** Where nothing can be learned, the age of a connection still ends it: pools.NAME.keepalive_time, 1 h. */
const KEEPALIVE_TIME_MS = 3_600_000;

function idleLimitMs(hop: Hop): number | undefined {
  if (hop.kind === "proxy") return hop.clientIdleTimeoutMs;
  return hop.kind === "end-point" ? hop.idleTimeoutMs : undefined;
}
