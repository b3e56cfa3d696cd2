/**
 * Durations for sentences: "350 s", "924.6 s", "2 h 5 min". Seconds up to 20 minutes, because that is how the boxes' time-outs are
 * known (60, 240, 350, 600, 900 s). For values in configuration files see config/duration.ts. Pure.
 */
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

export function spokenDuration(durationMs: number): string {
  const rounded = Math.round(durationMs);
  if (rounded < 1000) return `${rounded} ms`;
  if (rounded <= 20 * MINUTE_MS) return `${Number((rounded / 1000).toFixed(1))} s`;
  const minutes = Math.round(rounded / MINUTE_MS);
  if (minutes < 60) return `${minutes} min`;
  const parts = [
    [Math.floor((minutes * MINUTE_MS) / DAY_MS), "d"],
    [Math.floor(minutes / 60) % 24, "h"],
    [minutes % 60, "min"],
  ] as const;
  return parts
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(" ");
}
