/** Figures as people read them: counts, ratios, times, sizes. Pure. Called by the tables of status, sessions and routers. */
const NONE = "-";

/** 950, 12,345, 1.2 M. Without toLocaleString(), whose tables take 15 ms to load. */
export function formatCount(count: number): string {
  return count < 1e6 ? String(count).replace(/\B(?=(\d{3})+$)/g, ",") : `${(count / 1e6).toFixed(1)} M`;
}

/** "1 connection", "5 connections". */
export function counted(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? "" : "s"}`;
}

export function formatRatio(ratio: number | null): string {
  return ratio === null ? NONE : `${(ratio * 100).toFixed(1)}%`;
}

export function formatMs(ms: number | null): string {
  if (ms === null) {
    return NONE;
  }
  if (ms >= 1000) {
    return `${Number((ms / 1000).toFixed(2))} s`;
  }
  return `${Number(ms.toFixed(ms < 10 ? 2 : 0))} ms`;
}

export function formatBytes(bytes: number): string {
  return bytes >= 1024 ** 3
    ? `${(bytes / 1024 ** 3).toFixed(1)} GiB`
    : `${(bytes / 1024 ** 2).toFixed(1)} MiB`;
}

/** The two largest units: 3d4h, 5m12s, 8s. */
export function formatAge(ageMs: number): string {
  const seconds = Math.max(0, Math.floor(ageMs / 1000));
  const parts: readonly (readonly [number, string])[] = [
    [Math.floor(seconds / 86_400), "d"],
    [Math.floor(seconds / 3600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "m"],
    [seconds % 60, "s"],
  ];
  const first = parts.findIndex(([amount]) => amount > 0);
  if (first === -1) {
    return "0s";
  }
  return parts
    .slice(first, first + 2)
    .filter(([amount]) => amount > 0)
    .map(([amount, unit]) => `${amount}${unit}`)
    .join("");
}
