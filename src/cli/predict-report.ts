/**
 * Everything that `holdfast predict` answers, as one value, and its JSON. Pure. Made by predict.ts, shown by predict-text.ts,
 * predict-svg.ts and predict-html.ts.
 */
import { type Advice, advise } from "../doctor/advice.ts";
import { contradictions } from "../doctor/contradictions.ts";
import type { Contradiction, Fate, Remedy, Scenario } from "../doctor/fate.ts";
import type { DescribedPath } from "../doctor/path-resolution.ts";
import { defaultScenarios, describeScenario } from "../doctor/scenarios.ts";
import { simulatePath } from "../doctor/simulation.ts";

export interface Prediction {
  readonly title: string;
  readonly fate: Fate;
}

export interface PredictionReport {
  readonly described: DescribedPath;
  readonly predictions: readonly Prediction[];
  readonly contradictions: readonly Contradiction[];
  readonly advice: Advice;
  readonly isHealthy: boolean;
}

export function makeReport(
  described: DescribedPath,
  scenarios: readonly Scenario[],
  responseTimeMs: number | undefined,
): PredictionReport {
  const { path } = described;
  const choices = responseTimeMs === undefined ? {} : { responseTimeMs };
  const played = scenarios.length > 0 ? scenarios : defaultScenarios(path, choices);
  const predictions = played.map((scenario) => ({
    title: describeScenario(scenario),
    fate: simulatePath(path, scenario),
  }));
  const found = contradictions(path);
  const isHealthy =
    predictions.every(({ fate }) => fate.isHealthy) && found.every(({ severity }) => severity !== "error");
  return { described, predictions, contradictions: found, advice: advise(path, played), isHealthy };
}

/** Stable names; times are milliseconds, null means never or none. */
export function reportJson({
  described,
  predictions,
  contradictions: found,
  advice,
  isHealthy,
}: PredictionReport): string {
  const value = {
    isHealthy,
    path: described.hops.map(({ hop, settings, notes }) => ({
      ...hop,
      settings: Object.entries(settings).map(([field, { label, text, source }]) => ({
        field,
        name: label,
        value: text,
        source,
      })),
      notes,
    })),
    predictions: predictions.map(({ title, fate }) => ({ title, ...fate })),
    contradictions: found,
    advice: {
      text: advice.text,
      plan: advice.plan,
      forDeadHosts: advice.forDeadHosts,
      remedies: advice.remedies,
      brokenBefore: advice.brokenBefore.map(describeScenario),
      brokenAfter: advice.brokenAfter.map(describeScenario),
      contradictionsAfter: advice.contradictionsAfter,
    },
    warnings: described.warnings,
  };
  return `${JSON.stringify(value, (_key, inner) => (inner === undefined ? null : inner), 2)}\n`;
}

/**
 * Single values beside the plan: for a plan of one, those that leave no more broken than it does; for a longer one, those that mend a
 * part and are no part of it.
 */
export function otherRemedies({ plan, remedies }: Advice): readonly Remedy[] {
  const isPlanned = (remedy: Remedy): boolean =>
    plan.some((step) => step.hop === remedy.hop && step.setting === remedy.setting);
  const [only] = plan;
  return remedies.filter(
    (remedy) =>
      !isPlanned(remedy) && (plan.length > 1 || remedy.leavesBroken.length <= only!.leavesBroken.length),
  );
}

/** "so_keepalive of nginx (hop 3): off → 60s:10s:6" */
export function describeRemedy({ hop, setting, from, to }: Remedy, { path }: DescribedPath): string {
  return `hop ${hop + 1}, ${path.hops[hop]?.name ?? "?"}: ${setting}: ${from} → ${to}`;
}
