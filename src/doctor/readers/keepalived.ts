/**
 * What keepalived.conf says about one `virtual_server`: the LVS box that the kernel makes of it. IPVS keeps one set of time-outs for all
 * services: 900 s, 120 s after FIN, unless `lvs_timeouts` in global_defs sets them (keepalived.conf(5), ipvsadm(8) --set).
 * Pure. Called by path-resolution.ts.
 */
import { readField, type Setting } from "../hop-settings.ts";
import { type Directive, parseBraces } from "./braces.ts";
import { ipvsSettings } from "./ipvs.ts";
import {
  type ConfigFiles,
  problemAt,
  type ReadResult,
  refusedReading,
  settingFrom,
  shortList,
  shortPlace,
} from "./reading.ts";

/** `selector`: "10.0.0.1:443", "443", or the name of a virtual_server_group; undefined: the only one. */
export function readKeepalived(file: string, selector: string | undefined, files: ConfigFiles): ReadResult {
  const text = files.read(file);
  if (!text.ok) return refusedReading(problemAt({ file, line: 0 }, text.reason));
  const { directives, problems } = parseBraces(text.text, file, "keepalived");
  if (problems.length > 0) return refusedReading(...problems);
  const servers = directives.filter(({ name, block }) => name === "virtual_server" && block !== undefined);
  const choices = shortList(servers.map(addressOf));
  const wrong = (message: string, hint: string) =>
    refusedReading(problemAt({ file, line: 0 }, message, hint));
  if (servers.length === 0) return wrong("has no virtual_server", "without one keepalived balances nothing");
  const matching = servers.filter(
    (server) => selector === undefined || addressOf(server) === selector || server.args.includes(selector),
  );
  const server = matching[0];
  if (server === undefined) return wrong(`has no virtual_server ${selector ?? ""}`, `there are: ${choices}`);
  if (matching.length > 1)
    return wrong(
      "has several virtual servers",
      `say which one, for example ${file}:${addressOf(server)}; there are: ${choices}`,
    );
  const timeouts = readTimeouts(directives);
  if (!timeouts.ok) return timeouts;
  const kind = value(server, "lb_kind") ?? value(server, "lvs_method") ?? "NAT";
  return {
    ok: true,
    hop: {
      entryName: "lvs",
      where: `${shortPlace(server)}, virtual_server ${addressOf(server)}`,
      settings: timeouts.settings,
      notes: notesOf(server, kind),
    },
    warnings: [],
  };
}

function notesOf(server: Directive, kind: string): string[] {
  const notes = [`lb_kind ${kind}`];
  if (kind !== "NAT")
    notes.push("the real servers answer past the director: their packets refresh nothing here");
  const persistence = server.block!.find(({ name }) => name === "persistence_timeout");
  if (persistence !== undefined) {
    notes.push(
      `persistence_timeout ${persistence.args[0] ?? "360"} chooses the server of new connections; it keeps no connection alive`,
    );
  }
  if (value(server, "protocol") === "UDP")
    notes.push("protocol UDP: a prediction for TCP says nothing about it");
  return notes;
}

function value(server: Directive, name: string): string | undefined {
  return server.block!.find((directive) => directive.name === name)?.args[0];
}

/** "10.0.0.1:443", "fwmark 3", "group web". */
function addressOf({ args }: Directive): string {
  const [first = "", second] = args;
  if (first === "fwmark" || first === "group") return `${first} ${second ?? ""}`;
  return second === undefined ? first : `${first}:${second}`;
}

/** `lvs_timeouts tcp 7200 tcpfin 30 udp 300`, any of them left out. */
function readTimeouts(
  directives: readonly Directive[],
):
  | { readonly ok: true; readonly settings: Readonly<Record<string, Setting>> }
  | (ReadResult & { ok: false }) {
  const definitions = directives
    .filter(({ name }) => name === "global_defs")
    .flatMap(({ block }) => block ?? []);
  const line = definitions.find(({ name }) => name === "lvs_timeouts");
  if (line === undefined)
    return { ok: true, settings: ipvsSettings({}, (label, text) => settingFrom(label, text, undefined)) };
  const given: { tcp?: number; tcpfin?: number } = {};
  for (const name of ["tcp", "tcpfin"] as const) {
    const text = line.args.includes(name) ? line.args[line.args.indexOf(name) + 1] : undefined;
    if (text === undefined) continue;
    const result = readField("packet-box", "timeout", text);
    if (!result.ok || !/^\d{1,8}$/.test(text)) {
      const problem = problemAt(
        line,
        `lvs_timeouts ${name}: "${text}" is not a number of seconds`,
        "write lvs_timeouts tcp 900 tcpfin 120 udp 300",
      );
      return { ok: false, diagnostics: [problem] };
    }
    given[name] = Number(text);
  }
  return {
    ok: true,
    settings: ipvsSettings(given, (label, text, isGiven) =>
      settingFrom(label, text, isGiven ? line : undefined),
    ),
  };
}
