/**
 * `holdfast server POOL SERVER drain|maint|up|weight N`: one server of a running gateway, at run time. Exit 0, 1 when nobody answers,
 * 2 when there is no such server or order. The order survives a reload, not the end of the gateway.
 */
import { Argument, Command } from "commander";
import { SERVER_ACTIONS, type ServerAction, WEIGHT_MAX } from "../daemon/server-orders.ts";
import { type AdminOptions, adminOption, askGateway } from "./admin-client.ts";
import { EXIT_WRONG_QUESTION, fail } from "./exit-status.ts";

const EXAMPLES = `
Orders:
  drain      nothing new goes to the server; requests and sessions in progress finish
  maint      the server counts as down; on_down of its pool applies to its TCP sessions
  up         neither; health checks alone decide again
  weight N   its share of the load, 1 to 65535; "weight configured" takes back the order

Orders hold until they are changed or the gateway ends. A reload keeps them.

Examples:
  holdfast server web 10.0.0.12:80 drain
  holdfast status                           until its ACTIVE is 0; then work on it
  holdfast server web 10.0.0.12:80 up
  holdfast server web 10.0.0.12:80 weight 5`;

const ORDERS = [...SERVER_ACTIONS, "weight"] as const;

interface ServerOptions extends AdminOptions {
  readonly json?: true;
}

export function serverCommand(): Command {
  return new Command("server")
    .description("drain one server of a running gateway, take it out, take it back, change its weight")
    .argument("<pool>", "name of the pool")
    .argument("<server>", "the server as it stands in the configuration")
    .addArgument(new Argument("<order>", "what to do").choices(ORDERS))
    .argument("[weight]", 'for "weight": a number, or "configured"')
    .option("--json", "print the outcome as JSON")
    .addOption(adminOption())
    .addHelpText("after", EXAMPLES)
    .action(orderServer);
}

async function orderServer(
  pool: string,
  server: string,
  order: string,
  weight: string | undefined,
  options: ServerOptions,
): Promise<void> {
  const parsed = parseOrder(order, weight);
  if (typeof parsed === "string") {
    fail(EXIT_WRONG_QUESTION, [parsed]);
    return;
  }
  const answer = await askGateway(options.admin, "POST", "/server", { pool, server, ...parsed });
  if (answer === undefined) return;
  const isGood = answer.status === 200;
  if (options.json) {
    process.stdout.write(answer.body);
    if (!isGood) process.exitCode = EXIT_WRONG_QUESTION;
    return;
  }
  const { lines = [answer.body.trim()] } = JSON.parse(answer.body) as { lines?: string[] };
  if (isGood) process.stdout.write(`${lines.join("\n")}\n`);
  else fail(EXIT_WRONG_QUESTION, lines);
}

/** The order as the admin API takes it, or what is wrong with it. */
export function parseOrder(
  order: string,
  weight: string | undefined,
): { readonly action: ServerAction } | { readonly weight: number | null } | string {
  if (order !== "weight") {
    if (weight !== undefined) return `"${order}" takes no further word, "${weight}" is one`;
    return { action: order as ServerAction };
  }
  if (weight === "configured") return { weight: null };
  if (weight === undefined) return `weight needs a number from 1 to ${WEIGHT_MAX}, or "configured"`;
  const number = /^\d+$/.test(weight) ? Number(weight) : 0;
  if (number < 1 || number > WEIGHT_MAX)
    return `${weight} is no weight: a whole number from 1 to ${WEIGHT_MAX}, or "configured"; to send nothing, use drain`;
  return { weight: number };
}
