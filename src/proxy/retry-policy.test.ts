/** Unit tests of the retry policy: the rules by example, and invariants over every combination of its inputs. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  countsAgainstServer,
  FailureKind,
  FailurePhase,
  NonIdempotentRetry,
  RETRY_DECISIONS,
  type RetryDecision,
  retryDecision,
} from "./retry-policy.ts";

const { CONNECTING, UNWRITTEN, WRITTEN, RESPONDING } = FailurePhase;
const { REFUSED, TIMEOUT, RESET, FIN } = FailureKind;

interface Inputs {
  readonly phase: number;
  readonly kind: number;
  readonly wasReused: boolean;
  readonly isIdempotent: boolean;
  readonly wasProvablyUnprocessed: boolean;
  readonly isReplayable: boolean;
  readonly triesLeft: number;
  readonly hasTimeLeft: boolean;
  readonly nonIdempotent: number;
}

const ORDINARY: Inputs = {
  phase: WRITTEN,
  kind: FIN,
  wasReused: false,
  isIdempotent: false,
  wasProvablyUnprocessed: false,
  isReplayable: true,
  triesLeft: 1,
  hasTimeLeft: true,
  nonIdempotent: NonIdempotentRetry.PROVABLE,
};

function decide(inputs: Partial<Inputs>): RetryDecision {
  const i = { ...ORDINARY, ...inputs };
  return RETRY_DECISIONS[
    retryDecision(
      i.phase,
      i.kind,
      i.wasReused,
      i.isIdempotent,
      i.wasProvablyUnprocessed,
      i.isReplayable,
      i.triesLeft,
      i.hasTimeLeft,
      i.nonIdempotent,
    )
  ]!;
}

const reused = { wasReused: true } as const;
const idempotent = { isIdempotent: true } as const;
const proven = { wasProvablyUnprocessed: true } as const;
const never = { nonIdempotent: NonIdempotentRetry.NEVER } as const;

const EXAMPLES: readonly [situation: string, inputs: Partial<Inputs>, name: string][] = [
  ["POST, connection refused", { phase: CONNECTING, kind: REFUSED }, "next-connect"],
  ["POST, connect timeout", { phase: CONNECTING, kind: TIMEOUT }, "next-connect"],
  [
    "POST, refused, policy never: nothing was sent",
    { phase: CONNECTING, kind: REFUSED, ...never },
    "next-connect",
  ],
  ["POST, refused, last try", { phase: CONNECTING, kind: REFUSED, triesLeft: 0 }, "give-up-tries"],
  [
    "POST, connect timeout, last try",
    { phase: CONNECTING, kind: TIMEOUT, triesLeft: 0 },
    "give-up-tries-timeout",
  ],
  [
    "GET, refused, too late",
    { phase: CONNECTING, kind: REFUSED, hasTimeLeft: false, ...idempotent },
    "give-up-time",
  ],
  ["POST, reused, closed before writing", { phase: UNWRITTEN, ...reused }, "same-unwritten"],
  [
    "POST, reused, nothing could be written for too long",
    { phase: UNWRITTEN, kind: TIMEOUT, ...reused },
    "next-unwritten",
  ],
  ["POST, fresh, reset before writing", { phase: UNWRITTEN, kind: RESET }, "next-unwritten"],
  ["GET, stale", { kind: RESET, ...reused, ...idempotent }, "same-stale"],
  ["GET, stale, no tries left: free", { ...reused, ...idempotent, triesLeft: 0 }, "same-stale"],
  ["GET, stale, policy never: about other methods", { ...reused, ...idempotent, ...never }, "same-stale"],
  ["PUT, stale, body gone", { ...reused, ...idempotent, isReplayable: false }, "give-up-not-replayable"],
  ["POST, stale, FIN proves it", { ...reused, ...proven }, "same-stale-provable"],
  ["POST, stale, FIN proves it, policy never", { ...reused, ...proven, ...never }, "give-up-unsafe"],
  ["POST, stale, no proof", { kind: RESET, ...reused }, "give-up-unsafe"],
  ["GET, fresh, closed after writing", idempotent, "next-idempotent"],
  ["POST, fresh, closed after writing", {}, "give-up-unsafe"],
  ["POST, fresh, proof", proven, "next-provable"],
  ["GET, read timeout", { kind: TIMEOUT, ...idempotent }, "next-idempotent"],
  [
    "GET, read timeout on a reused connection",
    { kind: TIMEOUT, ...reused, ...idempotent },
    "next-idempotent",
  ],
  ["GET, read timeout, last try", { kind: TIMEOUT, ...idempotent, triesLeft: 0 }, "give-up-tries-timeout"],
  ["POST, read timeout", { kind: TIMEOUT }, "give-up-unsafe-timeout"],
  ["POST, read timeout: never a proof", { kind: TIMEOUT, ...proven, ...reused }, "give-up-unsafe-timeout"],
  ["GET, response begun", { phase: RESPONDING, ...idempotent, ...reused }, "give-up-response-started"],
  [
    "GET, response begun, then silence",
    { phase: RESPONDING, kind: TIMEOUT, ...idempotent },
    "give-up-response-started",
  ],
];

for (const [situation, inputs, name] of EXAMPLES) {
  test(`retryDecision() is ${name} for: ${situation} (RFC 9110 §9.2.2, RFC 9112 §9.3.1)`, () => {
    assert.equal(decide(inputs).name, name);
  });
}

function* everyCombination(): Generator<Inputs> {
  const booleans = [false, true];
  for (const phase of Object.values(FailurePhase))
    for (const kind of Object.values(FailureKind))
      for (const wasReused of booleans)
        for (const isIdempotent of booleans)
          for (const wasProvablyUnprocessed of booleans)
            for (const isReplayable of booleans)
              for (const triesLeft of [0, 1, 5])
                for (const hasTimeLeft of booleans)
                  for (const nonIdempotent of Object.values(NonIdempotentRetry))
                    yield {
                      phase,
                      kind,
                      wasReused,
                      isIdempotent,
                      wasProvablyUnprocessed,
                      isReplayable,
                      triesLeft,
                      hasTimeLeft,
                      nonIdempotent,
                    };
}

test("retryDecision() keeps its promises in every combination of inputs", () => {
  const seen = new Set<string>();
  for (const inputs of everyCombination()) {
    const decision = decide(inputs);
    const label = `${decision.name} for ${JSON.stringify(inputs)}`;
    seen.add(decision.name);
    if (decision.action === "give-up") {
      assert.equal(decision.status === 0, inputs.phase === RESPONDING, label);
      if (decision.status !== 0) assert.equal(decision.status, inputs.kind === TIMEOUT ? 504 : 502, label);
      continue;
    }
    assert.notEqual(inputs.phase, RESPONDING, label);
    assert.ok(inputs.isReplayable && inputs.hasTimeLeft, label);
    if (inputs.phase === WRITTEN && !inputs.isIdempotent) {
      assert.ok(inputs.wasProvablyUnprocessed && inputs.nonIdempotent === NonIdempotentRetry.PROVABLE, label);
      assert.notEqual(inputs.kind, TIMEOUT, label);
    }
    assert.equal(decision.usesTry, decision.action === "retry-next-server", label);
    if (decision.usesTry) assert.ok(inputs.triesLeft > 0, label);
    else
      assert.ok(
        inputs.wasReused && inputs.phase !== CONNECTING,
        `a free retry can happen once only: ${label}`,
      );
  }
  assert.deepEqual(
    [...seen].sort(),
    RETRY_DECISIONS.map(({ name }) => name).sort(),
    "every decision can occur",
  );
});

test("retryDecision() depends on the method only once something was written", () => {
  for (const inputs of everyCombination()) {
    if (inputs.phase === WRITTEN) continue;
    assert.equal(decide(inputs), decide({ ...inputs, isIdempotent: !inputs.isIdempotent }));
  }
});

test("countsAgainstServer() is false for a stale idle connection alone", () => {
  assert.equal(countsAgainstServer(WRITTEN, RESET, true), false);
  assert.equal(countsAgainstServer(UNWRITTEN, FIN, true), false);
  assert.equal(countsAgainstServer(WRITTEN, TIMEOUT, true), true);
  assert.equal(countsAgainstServer(RESPONDING, RESET, true), true);
  assert.equal(countsAgainstServer(WRITTEN, RESET, false), true);
  assert.equal(countsAgainstServer(CONNECTING, REFUSED, false), true);
});
