/**
 * Problems between the keys of a health check: none or several kinds, a heartbeat that is both asked and told, beats
 * without a receiver, a user without a password. Works on raw values beside the schema, as references.ts does,
 * so that every problem of a file is found at once. Pure. Called by load.ts.
 */
import type { ConfigPath } from "./diagnostics.ts";
import { CHECK_KINDS, expandHealth, expandHeartbeat, healthSection } from "./health-section.ts";
import { asMap, error, type Finding, isMap, isTrue, mapsIn, type RawMap } from "./raw.ts";

export function findHealthProblems(raw: unknown): Finding[] {
  const root = asMap(raw);
  const hasReceiver = root.heartbeats !== undefined;
  return mapsIn(root.pools).flatMap(([name, pool]) => {
    const health = expandHealth(pool.health);
    if (!isMap(health)) return [];
    const at: ConfigPath = ["pools", name, "health"];
    return [
      ...kindFindings(at, health),
      ...heartbeatFindings([...at, "heartbeat"], expandHeartbeat(health.heartbeat), hasReceiver),
      ...redisFindings([...at, "redis"], asMap(health.redis)),
      ...["http", "https"].flatMap((kind) => bodyFindings([...at, kind], asMap(health[kind]))),
    ];
  });
}

function kindFindings(at: ConfigPath, health: RawMap): Finding[] {
  const kinds = CHECK_KINDS.filter((kind) => Object.hasOwn(health, kind));
  const [first, second] = kinds;
  if (second !== undefined) {
    const message = `a second check beside ${first}: a pool has one`;
    const hint = "keep one of them; exec can run a program that asks several questions";
    return [{ ...error([...at, second], message, hint), part: "key" }];
  }
  const known = healthSection.keys!;
  // A mistyped kind has been reported as an unknown key.
  if (first !== undefined || Object.keys(health).some((key) => !Object.hasOwn(known, key))) return [];
  return [
    error(
      at,
      `names no check: one of ${CHECK_KINDS.join(", ")} is missing`,
      "add tcp: {} (the server accepts connections) or http: /healthz (it answers)",
    ),
  ];
}

function heartbeatFindings(at: ConfigPath, raw: unknown, hasReceiver: boolean): Finding[] {
  if (!isMap(raw)) return [];
  const isTold = isTrue(raw.told);
  const isAsked = raw.path !== undefined;
  if (isTold && isAsked) {
    const hint = "keep path to ask the application, or told to let it push";
    return [error([...at, "path"], "told and path exclude each other", hint)];
  }
  if (!isTold && !isAsked) {
    const hint =
      "add path: /beat (the gateway asks, and the application answers) or told: true (the application pushes)";
    return [error(at, "neither asks nor listens: path or told is missing", hint)];
  }
  if (isAsked && raw.deadline !== undefined) {
    const hint = "an asked heartbeat must answer within timeout: set that";
    return [error([...at, "deadline"], "belongs to told", hint)];
  }
  if (isTold && !hasReceiver) {
    const hint = "add at the top level: heartbeats: { bind: 127.0.0.1:9902 }";
    return [
      error([...at, "told"], "there is nowhere to push beats to: the file has no heartbeats section", hint),
    ];
  }
  return [];
}

function redisFindings(at: ConfigPath, redis: RawMap): Finding[] {
  if (redis.user === undefined || redis.password !== undefined) return [];
  return [error([...at, "user"], "AUTH needs a password beside the user", "add password, or remove user")];
}

function bodyFindings(at: ConfigPath, http: RawMap): Finding[] {
  const key = ["body_contains", "body_matches"].find((name) => http[name] !== undefined);
  if (http.method !== "HEAD" || key === undefined) return [];
  return [error([...at, key], "the response to HEAD has no body (RFC 9110 §9.3.2)", "write method: GET")];
}
