/**
 * The time-outs of IPVS as `ipvsadm -l --timeout` prints them: "Timeout (tcp tcpfin udp): 900 120 300". Pure. Called by
 * path-resolution.ts for `ipvs:FILE`, and by keepalived.ts, whose `lvs_timeouts` sets the same three.
 */
import type { Setting } from "../hop-settings.ts";
import { type ConfigFiles, problemAt, type ReadResult, refusedReading, settingFrom } from "./reading.ts";

/** ip_vs_proto_tcp.c, tcp_timeouts[]: after a FIN of the client CLOSE_WAIT, 60 s, which nothing changes; of the server FIN_WAIT, tcpfin. */
const CLOSE_WAIT_SECONDS = 60;
const TCP_SECONDS = 900;
const TCPFIN_SECONDS = 120;

export function readIpvs(file: string, _selector: string | undefined, files: ConfigFiles): ReadResult {
  const text = files.read(file);
  if (!text.ok) return refusedReading(problemAt({ file, line: 0 }, text.reason));
  const lines = text.text.split("\n");
  const index = lines.findIndex((line) => /Timeout \(tcp tcpfin udp\):/i.test(line));
  const match = /:\s*(\d{1,9})\s+(\d{1,9})\s+(\d{1,9})/.exec(lines[index] ?? "");
  if (match === null) {
    const place = { file, line: Math.max(0, index + 1) };
    return refusedReading(
      problemAt(place, 'has no line "Timeout (tcp tcpfin udp): …"', "write it with: ipvsadm -l --timeout"),
    );
  }
  const place = { file, line: index + 1 };
  const given = { tcp: Number(match[1]), tcpfin: Number(match[2]) };
  if (given.tcp === 0 || given.tcpfin === 0)
    return refusedReading(problemAt(place, "a time-out of 0 is none that IPVS has"));
  const settings = ipvsSettings(given, (label, value) => settingFrom(label, value, place));
  return {
    ok: true,
    hop: {
      entryName: "lvs",
      where: `${place.file.slice(file.lastIndexOf("/") + 1)}:${place.line}`,
      settings,
      notes: [],
    },
    warnings: [],
  };
}

/** 0 and undefined: as the kernel had it. */
export function ipvsSettings(
  given: { readonly tcp?: number; readonly tcpfin?: number },
  toSetting: (label: string, text: string, isGiven: boolean) => Setting,
): Readonly<Record<string, Setting>> {
  const tcp = given.tcp || TCP_SECONDS;
  const tcpfin = given.tcpfin || TCPFIN_SECONDS;
  const label = tcpfin < CLOSE_WAIT_SECONDS ? "tcpfin" : "CLOSE_WAIT";
  return {
    timeout: toSetting("tcp", `${tcp}s`, Boolean(given.tcp)),
    half_closed: toSetting(label, `${Math.min(CLOSE_WAIT_SECONDS, tcpfin)}s`, label === "tcpfin"),
  };
}
