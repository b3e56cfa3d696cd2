/**
 * The smallest change that mends a path: one value on one hop, tried by simulating the changed path in every scenario. When no
 * single value suffices, the smallest pair; when no pair does, a set of which nothing can be left out: first what quiet and slow
 * connections need, then what it takes to notice dead hosts (a value per leg, mostly). Pure.
 */
import { adviceText } from "./advice-text.ts";
import { type Change, possibleChanges } from "./changes.ts";
import { contradictions } from "./contradictions.ts";
import { SETTING_NAMES } from "./directives.ts";
import { withDistinctNames } from "./distinct-names.ts";
import type { Contradiction, Remedy, Scenario } from "./fate.ts";
import type { Path } from "./hop.ts";
import { simulatePath } from "./simulation.ts";

export interface Advice {
  /** Single values that mend something and break nothing; the best first. */
  readonly remedies: readonly Remedy[];
  /**
   * The smallest set of changes found that mends the most: one change when one suffices, else a pair, else a set of which none can
   * be left out. Each one's `mends` is what it adds to those before it, and may be empty where two mend something only together. Empty: nothing is broken, or nothing that a person may change helps.
   */
  readonly plan: readonly Remedy[];
  /** The end of the plan: what is needed only to notice dead hosts in time. Empty when the plan is one for all. */
  readonly forDeadHosts: readonly Remedy[];
  /** The path with the plan carried out. */
  readonly mendedPath: Path;
  readonly brokenBefore: readonly Scenario[];
  readonly brokenAfter: readonly Scenario[];
  /** Errors among the settings that contradict each other when the plan is carried out: no scenario shows them. */
  readonly contradictionsAfter: readonly Contradiction[];
  /** Few sentences: "One value mends all: …", "No single value suffices, 2 do: …", "Nothing to mend." */
  readonly text: string;
}

/** Indices of the scenarios that end badly. */
type Broken = ReadonlySet<number>;

interface Trial {
  readonly changes: readonly Change[];
  readonly path: Path;
  readonly broken: Broken;
  /** How many of the changes, from the end, are there for dead hosts only. */
  readonly forDeadHosts?: number;
}

export function advise(path: Path, scenarios: readonly Scenario[]): Advice {
  const start: Trial = { changes: [], path, broken: brokenOn(path, scenarios) };
  if (start.broken.size === 0) return adviceFor(path, scenarios, start, start, []);
  const candidates = possibleChanges(path, scenarios);
  const singles = improvements(start, candidates, scenarios);
  const plan = bestPlan(start, singles, candidates, scenarios);
  return adviceFor(path, scenarios, start, plan, singles);
}

function brokenOn(path: Path, scenarios: readonly Scenario[]): Broken {
  return new Set(
    scenarios.flatMap((scenario, index) => (simulatePath(path, scenario).isHealthy ? [] : [index])),
  );
}

function withChange(trial: Trial, change: Change, scenarios: readonly Scenario[]): Trial {
  const path = change.apply(trial.path);
  return { changes: [...trial.changes, change], path, broken: brokenOn(path, scenarios) };
}

/** Trials that mend something and break nothing, the best first: fewest scenarios left broken, then least asked of people. */
function improvements(
  start: Trial,
  candidates: readonly Change[],
  scenarios: readonly Scenario[],
): readonly Trial[] {
  return candidates
    .map((change) => withChange(start, change, scenarios))
    .filter((trial) => trial.broken.size < start.broken.size && isSubset(trial.broken, start.broken))
    .toSorted(byWorth);
}

function byWorth(a: Trial, b: Trial): number {
  const asks = (trial: Trial): number => trial.changes.reduce((sum, change) => sum + change.rank, 0);
  return a.broken.size - b.broken.size || asks(a) - asks(b) || a.changes.at(-1)!.hop - b.changes.at(-1)!.hop;
}

function isSubset(inner: Broken, outer: Broken): boolean {
  return [...inner].every((index) => outer.has(index));
}

function isSameValue(a: Change, b: Change): boolean {
  return a.hop === b.hop && a.setting === b.setting;
}

function bestPlan(
  start: Trial,
  singles: readonly Trial[],
  candidates: readonly Change[],
  scenarios: readonly Scenario[],
): Trial {
  const [best] = singles;
  if (best?.broken.size === 0) return best;
  const pair = pairThatMendsAll(start, candidates, scenarios);
  if (pair !== undefined) return pair;
  const staged = deadHostsApart(start, scenarios);
  const whole = everythingNeeded(start, candidates, scenarios) ?? best ?? start;
  return staged !== undefined && isSubset(staged.broken, whole.broken) ? staged : whole;
}

const isDeath = ({ kind }: Scenario): boolean => kind === "host-dies-idle" || kind === "host-dies-in-flight";

/**
 * Two plans, one after the other: a person who only wants quiet connections to live carries out the first. undefined: the scenarios
 * are of one sort, or the two do not work out better than nothing.
 */
function deadHostsApart(start: Trial, scenarios: readonly Scenario[]): Trial | undefined {
  const everyday = scenarios.filter((scenario) => !isDeath(scenario));
  if (everyday.length === scenarios.length || everyday.length === 0) return undefined;
  const quiet = planFor(start.path, everyday);
  const middle: Trial = { ...quiet, broken: brokenOn(quiet.path, scenarios) };
  const dead = planFor(quiet.path, scenarios);
  // Neither may the second undo the first, nor both together break what was well.
  if (!isSubset(dead.broken, middle.broken) || !isSubset(dead.broken, start.broken)) return undefined;
  return {
    changes: [...quiet.changes, ...dead.changes],
    path: dead.path,
    broken: dead.broken,
    forDeadHosts: dead.changes.length,
  };
}

/** As bestPlan(), without a second division. */
function planFor(path: Path, scenarios: readonly Scenario[]): Trial {
  const start: Trial = { changes: [], path, broken: brokenOn(path, scenarios) };
  if (start.broken.size === 0) return start;
  const candidates = possibleChanges(path, scenarios);
  const [best] = improvements(start, candidates, scenarios);
  if (best?.broken.size === 0) return best;
  const pair = pairThatMendsAll(start, candidates, scenarios);
  return pair ?? everythingNeeded(start, candidates, scenarios) ?? best ?? start;
}

/**
 * Looks at a pair's scenarios only until one ends badly, those first that end badly without it: most pairs fail at once. Neither
 * value need help alone: the probes of two legs, HAProxy's time-outs of two sides.
 */
function pairThatMendsAll(
  start: Trial,
  candidates: readonly Change[],
  scenarios: readonly Scenario[],
): Trial | undefined {
  const hardFirst = [
    ...[...start.broken].map((index) => scenarios[index]!),
    ...scenarios.filter((_, index) => !start.broken.has(index)),
  ];
  return pairsOf(start, candidates)
    .filter(({ path }) => hardFirst.every((scenario) => simulatePath(path, scenario).isHealthy))
    .map((pair) => ({ ...pair, broken: new Set<number>() }))
    .toSorted(byWorth)[0];
}

function pairsOf(start: Trial, candidates: readonly Change[]): readonly Omit<Trial, "broken">[] {
  return candidates.flatMap((first, index) => {
    const path = first.apply(start.path);
    return candidates
      .slice(index + 1)
      .filter((second) => !isSameValue(first, second))
      .map((second) => ({ changes: [first, second], path: second.apply(path) }));
  });
}

/**
 * Everything that could be changed, less what is not needed. A search that adds one change at a time gets stuck: a longer time-out
 * of a proxy helps one scenario and harms another until the probes are on as well.
 */
function everythingNeeded(
  start: Trial,
  candidates: readonly Change[],
  scenarios: readonly Scenario[],
): Trial | undefined {
  const distinct = candidates.filter(
    (change, index) => candidates.findIndex((it) => isSameValue(it, change)) === index,
  );
  const all = trialOf(
    distinct.toSorted((a, b) => a.rank - b.rank || a.hop - b.hop),
    start,
    scenarios,
  );
  const plan = withoutSuperfluous(all, start, scenarios);
  const isBetter = plan.broken.size < start.broken.size && isSubset(plan.broken, start.broken);
  return isBetter ? plan : undefined;
}

/** Leaves out one change after the other, what asks most of people first, as long as nothing more ends badly without it. */
function withoutSuperfluous(all: Trial, start: Trial, scenarios: readonly Scenario[]): Trial {
  let plan = all;
  for (const change of all.changes.toReversed()) {
    const trial = trialOf(
      plan.changes.filter((it) => it !== change),
      start,
      scenarios,
    );
    if (isSubset(trial.broken, plan.broken)) plan = trial;
  }
  return plan;
}

function trialOf(changes: readonly Change[], start: Trial, scenarios: readonly Scenario[]): Trial {
  const path = changes.reduce((changed, change) => change.apply(changed), start.path);
  return { changes, path, broken: brokenOn(path, scenarios) };
}

function adviceFor(
  path: Path,
  scenarios: readonly Scenario[],
  start: Trial,
  plan: Trial,
  singles: readonly Trial[],
): Advice {
  const pick = (broken: Broken): readonly Scenario[] => [...broken].map((index) => scenarios[index]!);
  let before = start;
  const steps = plan.changes.map((change) => {
    const after = withChange(before, change, scenarios);
    const remedy = remedyOf(path, change, before.broken, after.broken, scenarios);
    before = after;
    return remedy;
  });
  const remedies = singles.map((it) => remedyOf(path, it.changes[0]!, start.broken, it.broken, scenarios));
  const division = steps.length - (plan.forDeadHosts ?? 0);
  const forDeadHosts = steps.slice(division);
  const outcome = { before: pick(start.broken), after: pick(plan.broken) };
  const left = contradictions(plan.path).filter(({ severity }) => severity === "error");
  return {
    remedies,
    // A plan of one value is the first remedy itself: who shows both can leave out what is the same.
    plan: plan === singles[0] ? remedies.slice(0, 1) : steps,
    forDeadHosts,
    mendedPath: plan.path,
    brokenBefore: outcome.before,
    brokenAfter: outcome.after,
    contradictionsAfter: left,
    text: adviceText({ ...outcome, steps: steps.slice(0, division), forDeadHosts, contradictions: left }),
  };
}

function remedyOf(
  path: Path,
  change: Change,
  before: Broken,
  after: Broken,
  scenarios: readonly Scenario[],
): Remedy {
  const kinds = (broken: readonly number[]): readonly Scenario["kind"][] => [
    ...new Set(broken.map((index) => scenarios[index]!.kind)),
  ];
  const { hop, from, to, directive, cost } = change;
  return {
    hop,
    setting: SETTING_NAMES[change.setting].replace("%", () => withDistinctNames(path).hops[hop]!.name),
    from,
    to,
    directive,
    mends: kinds([...before].filter((index) => !after.has(index))),
    leavesBroken: kinds([...after]),
    cost,
  };
}
