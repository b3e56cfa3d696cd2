/**
 * Says which warnings are said: each kind once a minute, however often its cause occurs, with the number of those that were kept back.
 * A peer that is misconfigured sends a hundred wrong advertisements a second; whoever makes up source addresses makes up any number of
 * kinds. Pure; called by driver.ts.
 */
const QUIET_MS = 60_000;
/** So many kinds of one reason (their first word) are told apart; what comes on top shares one silence. */
const KINDS_PER_REASON = 16;

interface Silence {
  untilMs: number;
  kept: number;
}

export class WarningLimit {
  /** By reason, then by kind. */
  readonly #silences = new Map<string, Map<string, Silence>>();

  /** undefined: be silent. Otherwise how many of the kind were kept back since the last one that was said. */
  admit(kind: string, nowMs: number): number | undefined {
    const silences = this.#silencesOf(reasonOf(kind));
    const key = silences.has(kind) || hasRoom(silences, nowMs) ? kind : "others";
    const silence = silences.get(key);
    if (silence !== undefined && nowMs < silence.untilMs) {
      silence.kept++;
      return undefined;
    }
    silences.set(key, { untilMs: nowMs + QUIET_MS, kept: 0 });
    return silence?.kept ?? 0;
  }

  #silencesOf(reason: string): Map<string, Silence> {
    const known = this.#silences.get(reason);
    if (known !== undefined) return known;
    const created = new Map<string, Silence>();
    this.#silences.set(reason, created);
    return created;
  }
}

function reasonOf(kind: string): string {
  return kind.split(" ", 1)[0]!;
}

function hasRoom(silences: Map<string, Silence>, nowMs: number): boolean {
  if (silences.size < KINDS_PER_REASON) return true;
  for (const [kind, { untilMs }] of silences) if (nowMs >= untilMs) silences.delete(kind);
  return silences.size < KINDS_PER_REASON;
}
