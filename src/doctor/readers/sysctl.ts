/**
 * sysctl settings: the output of `sysctl -a`, files of /etc/sysctl.d, or lines "/proc/sys/net/…:value". They make kernel defaults for the end points
 * of a host, and a connection-tracking box. The last line for a key holds, as sysctl(8) applies them. Pure. Called by path-resolution.ts.
 */
import type { Diagnostic } from "../../config/diagnostics.ts";
import { type KernelDefaults, LINUX_KERNEL_DEFAULTS, type Setting } from "../hop-settings.ts";
import {
  type ConfigFiles,
  type Place,
  problemAt,
  type ReadResult,
  refusedReading,
  settingFrom,
  shortPlace,
} from "./reading.ts";

interface SysctlLine extends Place {
  readonly value: string;
}

export type KernelResult =
  | { readonly ok: true; readonly kernel: KernelDefaults; readonly where: string | undefined }
  | { readonly ok: false; readonly diagnostics: readonly Diagnostic[] };

/** The keepalive and retransmission defaults of a network namespace; what the file does not say is Linux's own. */
export function readKernelDefaults(file: string, files: ConfigFiles): KernelResult {
  const lines = readLines(file, files);
  if (!lines.ok) return lines;
  const numbers = new SysctlNumbers(lines.lines);
  const system = LINUX_KERNEL_DEFAULTS.tcpKeepalive;
  const kernel: KernelDefaults = {
    tcpKeepalive: {
      idleSeconds: numbers.read("net.ipv4.tcp_keepalive_time", 1, 32_767 * 1000) ?? system.idleSeconds,
      intervalSeconds:
        numbers.read("net.ipv4.tcp_keepalive_intvl", 1, 32_767 * 1000) ?? system.intervalSeconds,
      probeCount: numbers.read("net.ipv4.tcp_keepalive_probes", 1, 255) ?? system.probeCount,
    },
    tcpRetries2: numbers.read("net.ipv4.tcp_retries2", 0, 255) ?? LINUX_KERNEL_DEFAULTS.tcpRetries2,
  };
  if (numbers.problems.length > 0) return { ok: false, diagnostics: numbers.problems };
  const seen = TCP_KEYS.map((key) => lines.lines.get(key)).find((line) => line !== undefined);
  return { ok: true, kernel, where: seen === undefined ? undefined : shortPlace(seen) };
}

const TCP_KEYS = [
  "net.ipv4.tcp_keepalive_time",
  "net.ipv4.tcp_keepalive_intvl",
  "net.ipv4.tcp_keepalive_probes",
  "net.ipv4.tcp_retries2",
];

const CONNTRACK = "net.netfilter.nf_conntrack_tcp_";

/** The conntrack box of a host. */
export function readConntrack(file: string, files: ConfigFiles): ReadResult {
  const lines = readLines(file, files);
  if (!lines.ok) return lines;
  const numbers = new SysctlNumbers(lines.lines);
  const settings: Record<string, Setting> = {};
  const fields = [
    ["timeout", "timeout_established"],
    ["half_closed", "timeout_close_wait"],
    ["unanswered", "timeout_max_retrans"],
  ] as const;
  for (const [field, name] of fields) {
    const seconds = numbers.read(CONNTRACK + name, 1, 2 ** 31);
    if (seconds !== undefined)
      settings[field] = settingFrom(
        `nf_conntrack_tcp_${name}`,
        `${seconds}s`,
        lines.lines.get(CONNTRACK + name),
      );
  }
  const loose = numbers.read(`${CONNTRACK}loose`, 0, 1);
  if (numbers.problems.length > 0) return refusedReading(...numbers.problems);
  const first = Object.values(settings)[0];
  if (first === undefined && loose === undefined) {
    return refusedReading(
      problemAt(
        { file, line: 0 },
        "has no net.netfilter.nf_conntrack_tcp_… setting",
        "write it with: sysctl -a 2>/dev/null | grep -E 'nf_conntrack_tcp|net.ipv4.tcp_'",
      ),
    );
  }
  return {
    ok: true,
    hop: {
      entryName: loose === 0 ? "conntrack-drop-invalid" : "conntrack",
      where: first?.source.text ?? file,
      settings,
      notes: [],
    },
    warnings: [],
  };
}

class SysctlNumbers {
  readonly problems: Diagnostic[] = [];
  readonly #lines: ReadonlyMap<string, SysctlLine>;

  constructor(lines: ReadonlyMap<string, SysctlLine>) {
    this.#lines = lines;
  }

  read(key: string, min: number, max: number): number | undefined {
    const line = this.#lines.get(key);
    if (line === undefined) return undefined;
    const number = /^\d{1,12}$/.test(line.value) ? Number(line.value) : Number.NaN;
    if (number >= min && number <= max) return number;
    this.problems.push(
      problemAt(line, `${key}: "${line.value.slice(0, 40)}" is not a number from ${min} to ${max}`),
    );
    return undefined;
  }
}

function readLines(
  file: string,
  files: ConfigFiles,
):
  | { readonly ok: true; readonly lines: ReadonlyMap<string, SysctlLine> }
  | { readonly ok: false; readonly diagnostics: readonly Diagnostic[] } {
  const text = files.read(file);
  if (!text.ok) return { ok: false, diagnostics: [problemAt({ file, line: 0 }, text.reason)] };
  const lines = new Map<string, SysctlLine>();
  for (const [index, line] of text.text.split("\n").entries()) {
    // sysctl.d(5): "#" and ";" begin comments, "-" in front says that failures do not matter, "/" may stand for ".".
    const match = /^\s*-?\s*([\w./-]+)\s*[=:]\s*(.*?)\s*$/.exec(line);
    if (match === null || /^\s*[#;]/.test(line)) continue;
    const key = match[1]!.replace(/^\/proc\/sys\//, "").replaceAll("/", ".");
    lines.set(key, { file, line: index + 1, value: match[2]! });
  }
  return { ok: true, lines };
}
