/** Every chaos scenario once, in its short form. Long form: `npm run soak:chaos`. */
import test from "node:test";
import { requirePeer } from "../harness/peers.ts";
import { SCENARIOS } from "./chaos.ts";

for (const scenario of SCENARIOS) {
  test(scenario.name, async (t) => {
    if (!requirePeer(t, "prlimit")) return;
    await scenario.run(false);
  });
}
