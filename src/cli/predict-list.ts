/** `holdfast predict --list`: the catalogue as a table or as JSON. Pure. Called by predict.ts. */
import { CATALOGUE, CATALOGUE_GROUPS } from "../doctor/catalogue.ts";
import { type CatalogueEntry, knobsOf } from "../doctor/catalogue-entry.ts";
import { formatTable } from "./table.ts";

export function catalogueText(): string {
  const columns = [{ title: "NAME" }, { title: "TIME-OUTS" }, { title: "" }, { title: "WHAT" }];
  const lines = CATALOGUE_GROUPS.flatMap((group) => {
    const entries = CATALOGUE.filter((entry) => entry.group === group);
    return [`# ${group}`, ...formatTable(columns, entries.map(row)), ""];
  });
  return `${lines.join("\n")}?  from memory or hearsay: check before you rely on it. Sources and settings: --list --json\n`;
}

function row(entry: CatalogueEntry): readonly string[] {
  return [entry.name, values(entry), entry.source.isUnverified === true ? "?" : "", entry.title];
}

function values({ kind, defaults, serverDefaults }: CatalogueEntry): string {
  if (kind === "packet-box") {
    const { timeout = "any", half_closed } = defaults;
    return half_closed === undefined ? timeout : `${timeout}, half-closed ${half_closed}`;
  }
  if (kind === "proxy") {
    const { client_idle_timeout: client = "any", server_timeout: server = "any" } = defaults;
    return client === server ? client : `client ${client}, answer ${server}`;
  }
  const end = ({ so_keepalive = "off", idle_timeout }: Readonly<Record<string, string>>) =>
    idle_timeout === undefined
      ? `keepalive ${so_keepalive}`
      : `keepalive ${so_keepalive}, idle ${idle_timeout}`;
  return serverDefaults === undefined ? end(defaults) : `${end(defaults)}; server: ${end(serverDefaults)}`;
}

export function catalogueJson(): string {
  const entries = CATALOGUE.map((entry) => ({
    name: entry.name,
    title: entry.title,
    group: entry.group,
    kind: entry.kind,
    roles: entry.roles ?? null,
    defaults: entry.defaults,
    serverDefaults: entry.serverDefaults ?? null,
    settings: Object.entries(knobsOf(entry)).map(([name, { fields }]) => ({ name, sets: fields })),
    source: entry.source.text,
    url: entry.source.url ?? null,
    isUnverified: entry.source.isUnverified === true,
    note: entry.note ?? null,
  }));
  return `${JSON.stringify(entries, null, 2)}\n`;
}
