import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatSoKeepalive } from "../tcp/so-keepalive.ts";
import type { RungResult } from "./ladder.ts";
import { boxesThatFit } from "./measure-boxes.ts";
import { concludeLadder, type LadderDirection, recommendSoKeepalive } from "./measure-conclusion.ts";

/** `345 answered`, `590 silent`, `1190 reset-unasked@350`. */
function results(...words: string[]): RungResult[] {
  return words.map((word) => {
    const [, rung, verdict, at] = /^(\d+) ([a-z-]+)(?:@([\d.]+))?$/.exec(word)!;
    return {
      rungMs: Number(rung) * 1000,
      idleMs: Number(at ?? rung) * 1000,
      verdict: verdict as RungResult["verdict"],
      errno: undefined,
      interruptions: 0,
    };
  });
}

function names(rungs: readonly RungResult[], direction: LadderDirection, onlyManner = true): string[] {
  return boxesThatFit(concludeLadder(rungs, direction), direction)
    .filter((box) => !onlyManner || box.fitsManner)
    .map((box) => box.name);
}

test("concludeLadder() brackets the time-out between the longest survivor and the first loss", () => {
  const conclusion = concludeLadder(
    results("245 answered", "345 answered", "355 reset", "590 reset", "1190 unfinished"),
    "from-client",
  );
  assert.equal(conclusion.outcome, "time-out");
  assert.deepEqual(conclusion.bracket, { lowerMs: 345_000, upperMs: 355_000 });
  assert.equal(conclusion.manner, "reset");
  assert.match(conclusion.verdict, /between 345 s and 355 s: whoever speaks next gets RST/);
  assert.equal(conclusion.isPartial, false, "what need not be waited for is not missing");
});

test("concludeLadder() takes the age of an unasked RST as the time-out itself", () => {
  const conclusion = concludeLadder(
    results("58 answered", "88 answered", "92 reset-unasked@90.1", "245 reset-unasked@90.0"),
    "from-client",
  );
  assert.deepEqual(conclusion.bracket, { lowerMs: 89_500, upperMs: 90_000 });
  assert.match(conclusion.verdict, /reset after 90 s/);
});

test("concludeLadder() does not blame the path for the other end's FIN", () => {
  const conclusion = concludeLadder(
    results("30 answered", "58 answered", "62 peer-closed@60.0", "350 peer-closed@60.0"),
    "from-client",
  );
  assert.deepEqual(
    [conclusion.outcome, conclusion.peerClosedAfterMs, conclusion.soKeepalive],
    ["peer-closes", 60_000, undefined],
  );
  assert.match(conclusion.advice.join(), /TCP keepalive does not prevent this/);
  assert.match(conclusion.caveats.join(), /--listen PORT --hold/);
});

test("concludeLadder() says that a longer survivor contradicts a loss, and stays on the safe side", () => {
  const conclusion = concludeLadder(
    results("60 answered", "90 silent", "120 answered", "240 silent"),
    "from-client",
  );
  assert.equal(conclusion.isConsistent, false);
  assert.deepEqual(conclusion.bracket, { lowerMs: 60_000, upperMs: 90_000 });
  assert.match(conclusion.caveats.join(), /packets were lost, or not all connections take the same way/);
});

test("concludeLadder() warns of boxes that take connections up again, whenever the client probed", () => {
  assert.match(concludeLadder(results("60 answered"), "from-client").caveats.join(), /tcp_loose=1/);
  assert.doesNotMatch(concludeLadder(results("60 answered"), "from-server").caveats.join(), /tcp_loose=1/);
});

test("concludeLadder() with nothing learnt says why", () => {
  const refused = results("60 no-connection", "90 no-connection").map((it) => ({
    ...it,
    errno: "ECONNREFUSED",
  }));
  const conclusion = concludeLadder(refused, "from-client");
  assert.equal(conclusion.outcome, "unknown");
  assert.match(conclusion.verdict, /no connection could be made \(ECONNREFUSED\)/);
  assert.match(concludeLadder(results("60 silent"), "from-client").advice.join(), /--rungs 7s,15s,30s/);
});

test("boxesThatFit() names boxes by time and by manner", () => {
  const nat = names(results("345 answered", "355 reset", "590 reset"), "from-client");
  assert.ok(nat.includes("aws-nat-gateway") && nat.includes("aws-nlb"), nat.join());
  assert.ok(!nat.includes("lvs"), nat.join());
  const f5 = names(results("245 answered", "305 reset-unasked@300.0"), "from-client");
  assert.ok(f5.includes("f5") && !f5.includes("aws-nlb"), f5.join());
  const azure = names(results("235 answered", "245 silent", "295 silent"), "from-client");
  assert.ok(azure.includes("azure-lb"), azure.join());
});

test("boxesThatFit() allows LVS to be late by the kernel's timer wheel", () => {
  const lvs = names(results("910 answered", "1015 reset", "1190 reset"), "from-client");
  assert.ok(lvs.includes("lvs"), lvs.join());
});

test("boxesThatFit() looks for a FIN among proxies and servers", () => {
  const found = names(results("58 answered", "62 peer-closed@60.0"), "from-client");
  assert.ok(found.includes("aws-alb"), found.join());
  assert.ok(!found.includes("aws-nlb"), found.join());
});

test("recommendSoKeepalive(): idle at most half of the proven time, two probes may be lost", () => {
  assert.equal(formatSoKeepalive(recommendSoKeepalive(345_000)!), "2m30s:30s:4");
  assert.equal(formatSoKeepalive(recommendSoKeepalive(58_000)!), "20s:5s:4");
  assert.equal(recommendSoKeepalive(1999), undefined);
  assert.equal(recommendSoKeepalive(undefined), undefined);
  fc.assert(
    fc.property(fc.integer({ min: 4000, max: 10_000_000 }), (lowerMs) => {
      const { idleSeconds, intervalSeconds } = recommendSoKeepalive(lowerMs)!;
      assert.ok(idleSeconds! * 2000 <= lowerMs);
      assert.ok((idleSeconds! + 2 * intervalSeconds!) * 1000 <= lowerMs);
    }),
  );
});
