/** `holdfast sessions`: the live TCP sessions of a running gateway. Exit 0, or 1 when nobody answers. */
import { Command, InvalidArgumentError } from "commander";
import type { SessionsDocument } from "../daemon/session-collector.ts";
import { type AdminOptions, adminOption, askGateway } from "./admin-client.ts";
import { EXIT_BAD_NEWS, EXIT_WRONG_QUESTION, fail } from "./exit-status.ts";
import { formatSessions, keepaliveVerdict } from "./session-table.ts";

const EXAMPLES = `
The oldest sessions come first. LEFT is what remains of idle_timeout, or of half_close_timeout once one side
has ended; payload in either direction starts it anew, TCP keepalive does not.

Examples:
  holdfast sessions
  holdfast sessions --limit 1000 --admin unix:/run/holdfast.sock
  holdfast sessions --json | jq '.sessions[] | select(.leftMs >= 0 and .leftMs < 5000) | .client'`;

const LIMIT_DEFAULT = 100;

export function sessionsCommand(): Command {
  return new Command("sessions")
    .description("list the live TCP sessions of a running gateway, and how long each has left")
    .option("--json", "print the sessions document: stable field names, milliseconds and bytes")
    .option("--limit <n>", "how many sessions at most", parseLimit, LIMIT_DEFAULT)
    .addOption(adminOption())
    .addHelpText("after", EXAMPLES)
    .action(printSessions);
}

function parseLimit(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError("a whole number");
  return Number(text);
}

async function printSessions(options: AdminOptions & { json?: true; limit: number }): Promise<void> {
  const answer = await askGateway(options.admin, "GET", `/sessions?limit=${options.limit}`);
  if (answer === undefined) return;
  if (answer.status !== 200) {
    const status = answer.status === 400 ? EXIT_WRONG_QUESTION : EXIT_BAD_NEWS;
    fail(status, [`the gateway refused (status ${answer.status}): ${answer.body.trim()}`]);
    return;
  }
  const document = JSON.parse(answer.body) as SessionsDocument;
  const isColoured = process.stdout.isTTY === true && process.env.NO_COLOR === undefined;
  const text = options.json ? toJson(document) : formatSessions(document, isColoured).join("\n");
  process.stdout.write(`${text}\n`);
}

function toJson(document: SessionsDocument): string {
  const sessions = document.sessions.map((session) => {
    const { keepsSession, sentence } = keepaliveVerdict(session);
    return { ...session, tcpKeepaliveKeepsSession: keepsSession, tcpKeepaliveExplanation: sentence };
  });
  return JSON.stringify({ ...document, sessions }, null, 2);
}
