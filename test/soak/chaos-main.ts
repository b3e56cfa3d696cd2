/** `npm run soak:chaos [-- --rounds N]`: the chaos scenarios in their long form, again and again. Exit status 1 at the first failure. */
import { Command } from "commander";
import { SCENARIOS } from "./chaos.ts";

const { rounds } = new Command("soak:chaos")
  .option("--rounds <n>", "how many times all scenarios run", "3")
  .parse()
  .opts<{ rounds: string }>();

try {
  for (let round = 1; round <= Number(rounds); round++) {
    for (const scenario of SCENARIOS) {
      const startedMs = performance.now();
      await scenario.run(true);
      console.log(
        `round ${round}/${rounds}: ${scenario.name}: good, ${Math.round(performance.now() - startedMs)} ms`,
      );
    }
  }
} catch (error) {
  console.error(error);
  process.exitCode = 1;
}
