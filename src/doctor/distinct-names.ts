/**
 * Two programs of one name on a path (ssh to ssh, kafka to kafka) are told apart by their hop in every sentence about them. Packet
 * boxes keep their names: a sentence about one names its hop anyway. Pure. Called by simulation.ts, advice.ts, contradictions.ts.
 */
import type { Path } from "./hop.ts";

export function withDistinctNames(path: Path): Path {
  const names = path.hops.flatMap((hop) => (hop.kind === "packet-box" ? [] : [hop.name]));
  const isShared = (name: string): boolean => names.indexOf(name) !== names.lastIndexOf(name);
  if (!names.some(isShared)) return path;
  const hops = path.hops.map((hop, index) =>
    hop.kind !== "packet-box" && isShared(hop.name)
      ? { ...hop, name: `${hop.name} (hop ${index + 1})` }
      : hop,
  );
  return { hops };
}
