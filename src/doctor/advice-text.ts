/**
 * Advice in one or two sentences: what mends quiet and slow connections, what dead hosts need on top, what no value of this list
 * touches. Pure. Called by advice.ts.
 */
import type { Contradiction, Remedy, Scenario } from "./fate.ts";
import { describeScenario } from "./scenarios.ts";

export interface AdvisedChanges {
  /** For everything, or, with `forDeadHosts`, for what is quiet or slow. */
  readonly steps: readonly Remedy[];
  readonly forDeadHosts: readonly Remedy[];
  readonly before: readonly Scenario[];
  readonly after: readonly Scenario[];
  /** Errors among the contradictions of the path as it is then. */
  readonly contradictions: readonly Contradiction[];
}

export function adviceText(changes: AdvisedChanges): string {
  const { before, after, contradictions, steps, forDeadHosts } = changes;
  const fixes = contradictions.map(({ fix }) => fix).join("; ");
  if (before.length === 0) {
    return fixes === ""
      ? "Nothing to mend."
      : `Every scenario ends well, but settings contradict each other: ${fixes}.`;
  }
  const still = steps.length + forDeadHosts.length === 0 ? "" : "still ";
  return [
    ...(forDeadHosts.length === 0 ? planSentence(changes) : sentencesWithDeadHosts(changes)),
    ...(after.length === 0 ? [] : [`Still broken: ${after.map(describeScenario).join("; ")}.`]),
    ...(fixes === "" ? [] : [`Settings ${still}contradict each other: ${fixes}.`]),
  ].join(" ");
}

function planSentence({ steps, after, contradictions }: AdvisedChanges): readonly string[] {
  if (steps.length === 0) return ["Nothing that could be changed here helps."];
  const list = listOf(steps);
  if (steps.length === 1) {
    const all = contradictions.length === 0 ? "all" : "every scenario";
    return [
      after.length === 0
        ? `One value mends ${all}: ${list}.`
        : `One value helps, but nothing mends all: ${list}.`,
    ];
  }
  return [
    after.length === 0
      ? `No single value suffices, ${steps.length} do: ${list}.`
      : `No single value suffices, and ${steps.length} do not mend all: ${list}.`,
  ];
}

function sentencesWithDeadHosts({ steps, forDeadHosts, after }: AdvisedChanges): readonly string[] {
  const many = forDeadHosts.length;
  if (steps.length === 0) {
    const verb = after.length === 0 ? `mend${many === 1 ? "s" : ""} that` : many === 1 ? "helps" : "help";
    return [`Only dead hosts are noticed too late. ${values(many)} ${verb}: ${listOf(forDeadHosts)}.`];
  }
  return [
    `${values(steps.length)} ${steps.length === 1 ? "mends" : "mend"} what is quiet or slow: ${listOf(steps)}.`,
    `For dead hosts, ${many} more: ${listOf(forDeadHosts)}.`,
  ];
}

const values = (count: number): string => (count === 1 ? "One value" : `${count} values`);

/** The same value in several places is said once: "so_keepalive of client and nginx on both sides to 60s:10s:3". */
function listOf(steps: readonly Remedy[]): string {
  const groups = new Map<string, Remedy[]>();
  for (const step of steps) {
    const key = `${whatOf(step)} ${step.to}`;
    groups.set(key, [...(groups.get(key) ?? []), step]);
  }
  return [...groups.values()]
    .map((group) => {
      const [first] = group as [Remedy];
      if (group.length === 1) return `${first.setting} from ${first.from} to ${first.to}`;
      return `${whatOf(first)} of ${wordsOf(places(group.map(whereOf)))} to ${first.to}`;
    })
    .join("; ");
}

// "so_keepalive of haproxy towards the client": every setting's name is "… of …" (SETTING_NAMES), the first " of " is ours.
const OF = " of ";
const whatOf = ({ setting }: Remedy): string => setting.slice(0, setting.indexOf(OF));
const whereOf = ({ setting }: Remedy): string => setting.slice(setting.indexOf(OF) + OF.length);

function places(wheres: readonly string[]): readonly string[] {
  return wheres.flatMap((where) => {
    const side = / towards the (client|server)$/.exec(where);
    if (side === null) return [where];
    const name = where.slice(0, side.index);
    if (!wheres.includes(`${name} towards the ${side[1] === "client" ? "server" : "client"}`)) return [where];
    return side[1] === "client" ? [`${name} on both sides`] : [];
  });
}

function wordsOf(words: readonly string[]): string {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}
