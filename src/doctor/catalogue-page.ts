/**
 * The catalogue as tables in Markdown, for what-each-box-does.md of docs/guide/ and docs/zh-CN/. Pure. Written by `npm run docs`;
 * catalogue-page.test.ts fails when the guides' tables are not these.
 */
import { CATALOGUE, CATALOGUE_GROUPS } from "./catalogue.ts";
import { type CatalogueEntry, defaultSettings } from "./catalogue-entry.ts";
import { PAGE_WORDS, type PageLanguage, type PageWords } from "./catalogue-page-words.ts";

export const TABLES_BEGIN = "<!-- tables of the catalogue: written by npm run docs -->";
export const TABLES_END = "<!-- end of the tables -->";

/** The guide with its tables renewed; everything outside the markers is written by hand. */
export function withCatalogueTables(page: string, language: PageLanguage = "en"): string {
  const begin = page.indexOf(TABLES_BEGIN);
  const end = page.indexOf(TABLES_END);
  if (begin < 0 || end < begin) throw new Error(`the guide has no ${TABLES_BEGIN} … ${TABLES_END}`);
  return `${page.slice(0, begin)}${TABLES_BEGIN}\n\n${catalogueTables(language)}\n${page.slice(end)}`;
}

export function catalogueTables(language: PageLanguage = "en"): string {
  const words = PAGE_WORDS[language];
  return CATALOGUE_GROUPS.filter((group) => group !== "your own")
    .map((group) => {
      const entries = CATALOGUE.filter((entry) => entry.group === group);
      const isEndPoint = group === "end points";
      const head = isEndPoint ? words.endPointHead : words.boxHead;
      const row = isEndPoint ? endPointRow : boxRow;
      const title = words.groups[group] ?? `${group[0]!.toUpperCase()}${group.slice(1)}`;
      const rows = entries.map((entry) => row(entry, words));
      return [`### ${title}`, "", tableRow(head), `|${"---|".repeat(head.length)}`, ...rows, ""].join("\n");
    })
    .join("\n");
}

function boxRow(entry: CatalogueEntry, words: PageWords): string {
  const refreshed = entry.kind === "proxy" ? words.payload : words.anyPacket;
  return tableRow([
    `\`${entry.name}\``,
    entry.title,
    timeouts(entry, words),
    refreshed,
    expiry(entry, words),
    settingNames(entry),
    source(entry, words),
  ]);
}

function endPointRow(entry: CatalogueEntry, words: PageWords): string {
  const keepalive = ends(entry, "so_keepalive", "off", words);
  const name = `\`${entry.name}\``;
  return tableRow([
    name,
    entry.title,
    keepalive,
    ends(entry, "idle_timeout", words.never, words),
    ends(entry, "response_timeout", words.never, words),
    source(entry, words),
  ]);
}

/** One value, or the client's and the server's. */
function ends(entry: CatalogueEntry, field: string, otherwise: string, words: PageWords): string {
  const value = (role: "client" | "server") => defaultSettings(entry, role)[field]?.text ?? otherwise;
  if (entry.serverDefaults === undefined || value("client") === value("server")) return value("client");
  return words.clientAnd(value("client"), "server", value("server"));
}

function timeouts({ kind, defaults }: CatalogueEntry, words: PageWords): string {
  if (kind === "packet-box") {
    const { timeout = words.never, half_closed, unanswered } = defaults;
    const parts = [timeout];
    if (half_closed !== undefined) parts.push(words.halfClosed(half_closed));
    if (unanswered !== undefined) parts.push(words.unanswered(unanswered));
    return parts.join(", ");
  }
  const { client_idle_timeout: client = words.never, server_timeout: server = words.never } = defaults;
  if (client === server) return client;
  return words.clientAnd(client, "answer", server);
}

/** In words; `silent` alone says too little. */
function expiry({ kind, defaults }: CatalogueEntry, words: PageWords): string {
  if (kind === "proxy") {
    if (defaults.on_server_timeout === "reset") return words.resetBoth;
    return defaults.protocol === "tcp" ? words.finBoth : words.lateAnswer;
  }
  const after = (field: "from_client" | "from_server"): string =>
    words.after[(defaults[field] ?? "drop") as keyof PageWords["after"]];
  return words.inTurn(
    defaults.at_expiry === "reset-both" ? words.resetBoth : words.nothing,
    words.packetsAre(after("from_client"), after("from_server")),
  );
}

function settingNames(entry: CatalogueEntry): string {
  const own = Object.keys(entry.knobs ?? {}).map((name) => `\`${name}\``);
  return own.length === 0 ? "–" : own.join(", ");
}

function source(
  { source: { text, url, isUnverified }, note, clientNote }: CatalogueEntry,
  words: PageWords,
): string {
  const linked = url === undefined ? text : `[${text}](${url})`;
  const mark = isUnverified === true ? `**${words.unverified}** ` : "";
  const notes = [note, clientNote === undefined ? undefined : `${words.asClient} ${clientNote}`];
  return [`${mark}${linked}`, ...notes.filter((text) => text !== undefined)].join("; ");
}

function tableRow(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
}
