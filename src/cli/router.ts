/**
 * `holdfast router NAME handover|maintenance|resume`: an order to one virtual router of a running gateway; waits until it is carried out.
 * Exit 0, 1 when it was not (nobody took over, nobody answers), 2 when there is no such router or order.
 */
import { Argument, Command } from "commander";
import { ROUTER_ORDERS } from "../daemon/router-orders.ts";
import { type AdminOptions, adminOption, askGateway } from "./admin-client.ts";
import { EXIT_BAD_NEWS, EXIT_WRONG_QUESTION, fail } from "./exit-status.ts";

const EXAMPLES = `
Orders:
  handover     another router takes the addresses over: it is asked to (priority 0), and only when it is active are the
               addresses taken away here. When nobody takes over, this router goes on. Afterwards it stays backup
               while the other lives, until resume; when the other falls silent it takes over again.
  maintenance  as handover, and then never active, whatever happens to the others, until resume. It survives a restart
               when the configuration has state_dir.
  resume       takes back both orders: priority and preempt decide again

Examples:
  holdfast router edge handover && sudo apt upgrade
  holdfast router edge maintenance
  holdfast router edge resume

Exit status: 0 done, 1 not done (nobody took over; nobody answers), 2 there is no such router or order.`;

interface RouterOptions extends AdminOptions {
  readonly json?: true;
}

export function routerCommand(): Command {
  return new Command("router")
    .description("hand the addresses of a virtual router over to a peer, keep it out, let it take part again")
    .argument("<name>", "name of the virtual router")
    .addArgument(new Argument("<order>", "what to do").choices(ROUTER_ORDERS))
    .option("--json", "print the outcome as JSON")
    .addOption(adminOption())
    .addHelpText("after", EXAMPLES)
    .action(orderRouter);
}

async function orderRouter(router: string, order: string, options: RouterOptions): Promise<void> {
  const answer = await askGateway(options.admin, "POST", "/router", { router, order });
  if (answer === undefined) return;
  const status = exitStatusOf(answer.status);
  if (options.json) {
    process.stdout.write(answer.body);
    if (status !== 0) process.exitCode = status;
    return;
  }
  const { lines, error } = JSON.parse(answer.body) as { lines?: string[]; error?: string };
  const text = lines ?? [`the gateway refused (status ${answer.status}): ${error ?? ""}`];
  if (status === 0) process.stdout.write(`${text.join("\n")}\n`);
  else fail(status, text);
}

/** 404: no such router; 422: it could not be carried out. */
export function exitStatusOf(httpStatus: number): number {
  if (httpStatus === 200) return 0;
  return httpStatus === 404 || httpStatus === 400 ? EXIT_WRONG_QUESTION : EXIT_BAD_NEWS;
}
