/**
 * `pools.NAME.health`: the keys of every kind of health check with their defaults and meanings, the short forms
 * (`health: tcp`, `health: { http: /healthz }`), and the plain `HealthConfig` that comes of them. Pure.
 * Part of schema.ts, which is the place to begin; what lies between keys is judged by health-findings.ts.
 */
import { type Parsed, parsed, quoted, refused } from "./parsed.ts";
import {
  absent,
  boolean,
  duration,
  integer,
  mayBeEmpty,
  oneOf,
  optional,
  section,
  shortened,
  shortForm,
  text,
  type ValueKind,
  value,
} from "./schema-kit.ts";
import type { HealthCheckConfig, HealthConfig, HttpCheckConfig } from "./types.ts";

/** A health section names exactly one of these. */
export const CHECK_KINDS = ["tcp", "http", "https", "redis", "exec", "heartbeat"] as const;

/** The kinds that say enough by their name alone. */
const CHECK_WORDS: readonly string[] = ["tcp", "http", "https", "redis"];
const HEALTH_HINT =
  "write health: tcp, health: { http: /healthz }, health: { exec: /usr/local/bin/check } or health: { heartbeat: told }";

const TIMER = { minMs: 10 };
const TOLD_DEADLINE_MS = 5000;
const TIMEOUT_MS = 1000;
const FAST_INTERVAL_MS_MIN = 200;
const FALL = 3;

type StatusRange = readonly [from: number, to: number];

const httpCheckKeys = {
  path: optional(text("path", parseCheckPath), "/", {
    meaning: "What is asked for; a query may follow.",
    alike: "HAProxy `http-check send uri`, keepalived `url { path }`",
  }),
  method: optional(text("method", parseMethod), "GET", {
    meaning: "Method of the request.",
    alike: "HAProxy `http-check send meth`",
  }),
  host: absent(text("host name", parseCheckHost), {
    meaning:
      "The Host field, and with https the name that the certificate must be valid for. Left out: the server's address.",
    alike: "HAProxy `http-check send hdr Host`, `check-sni`; keepalived `virtualhost`",
  }),
  headers: optional(
    headersKind(),
    {},
    {
      meaning: "More header fields of the request, name: value.",
      alike: "HAProxy `http-check send hdr`",
    },
  ),
  status: optional(statusKind(), "200-399", {
    meaning: "Statuses that mean healthy: `200`, `200-399` or a list of both.",
    alike: "HAProxy `http-check expect status`, keepalived `status_code`",
  }),
  body_contains: absent(text("text", parseCheckText), {
    meaning: "The body must contain this text.",
    alike: "HAProxy `http-check expect string`",
  }),
  body_matches: absent(text("regular expression", parseRegularExpression), {
    meaning: "The body must match this regular expression (JavaScript's).",
    alike: "HAProxy `http-check expect rstring`, keepalived `regex`",
  }),
};

const httpCheck = section(httpCheckKeys);
const httpsCheck = section({
  ...httpCheckKeys,
  verify: optional(boolean(), true, {
    meaning: "The certificate must be valid: issued by a known authority, for `host`, and not expired.",
    alike: "HAProxy `verify required`",
  }),
});

const tcpCheck = section({
  send: absent(text("text", parseCheckText), {
    meaning: 'Sent once connected. In double quotes YAML knows "\\r\\n".',
    alike: "HAProxy `tcp-check send`",
  }),
  expect: absent(text("text", parseCheckText), {
    meaning: "The answer must contain this text within timeout.",
    alike: "HAProxy `tcp-check expect string`",
  }),
});

const redisCheck = section({
  user: absent(text("text", parseSecret), { meaning: "User of AUTH (Redis 6 and later)." }),
  password: absent(text("text", parseSecret), { meaning: "Password of AUTH, which then precedes PING." }),
});

const heartbeatCheck = section(
  {
    path: absent(text("path", parseCheckPath), {
      meaning:
        "The gateway asks: this end point must answer 2xx within timeout. It should do what a request does, so that it cannot answer when the application is stuck.",
      alike: "HAProxy `agent-check`",
    }),
    told: optional(boolean(), false, {
      meaning:
        "The application tells: it pushes beats to the address of `heartbeats`. Exactly one of path and told.",
    }),
    deadline: absent(duration(TIMER), {
      meaning: "With told: how long after the last beat the server is down.",
      defaultText: "`5s`",
    }),
    progress_deadline: optional(duration(), "30s", {
      meaning:
        "How long the progress counter of a beat or an answer, if it has one, may stand still: the process lives, the application does not. 0: it is not watched.",
    }),
  },
  { notMapHint: "write heartbeat: /beat (the gateway asks) or heartbeat: told (the application pushes)" },
);

const fullHealthSection = section(
  {
    tcp: absent(mayBeEmpty(tcpCheck), {
      meaning:
        "The server must accept a connection. A frozen process still does: its kernel answers for it; prefer a check that the application answers.",
      alike: "HAProxy `check`, keepalived `TCP_CHECK`",
    }),
    http: absent(mayBeEmpty(shortened(httpCheck, "path")), {
      meaning: "The server must answer an HTTP request. A path alone is enough: `http: /healthz`.",
      alike: "HAProxy `option httpchk`, keepalived `HTTP_GET`",
    }),
    https: absent(mayBeEmpty(shortened(httpsCheck, "path")), {
      meaning: "As http, over TLS.",
      alike: "HAProxy `check-ssl`, keepalived `SSL_GET`",
    }),
    redis: absent(mayBeEmpty(redisCheck), {
      meaning: "The server must answer PING with PONG.",
      alike: "HAProxy `option redis-check`",
    }),
    exec: absent(commandKind(), {
      meaning: "A program that must exit with 0 within timeout; its output is kept as the reason.",
      alike: "keepalived `MISC_CHECK`, HAProxy `external-check command`",
    }),
    heartbeat: absent(
      shortForm(heartbeatCheck, expandHeartbeat, {
        type: "`told`, path, or map",
        jsonForms: [{ const: "told" }, { type: "string", pattern: "^/" }],
      }),
      {
        meaning: "What a deadlocked process cannot fake: `heartbeat: /beat` asks, `heartbeat: told` is told.",
      },
    ),
    port: absent(integer(1, 65_535), {
      meaning: "Port to check in place of the server's.",
      alike: "HAProxy `port`, keepalived `connect_port`",
    }),
    interval: optional(duration(TIMER), "2s", {
      meaning: "Time between the beginnings of two checks.",
      alike: "HAProxy `inter`, keepalived `delay_loop`",
    }),
    fast_interval: absent(duration(TIMER), {
      meaning: "The interval while the state is about to change.",
      defaultText: "half of interval, not below `200ms`",
      alike: "HAProxy `fastinter`, keepalived `delay_before_retry`",
    }),
    timeout: absent(duration(TIMER), {
      meaning: "How long a check may take in all.",
      defaultText: "`1s`, at most half of interval",
      alike: "HAProxy `timeout check`, keepalived `connect_timeout`",
    }),
    rise: optional(integer(1, 1000), 2, {
      meaning: "Checks in a row that must succeed until a server that is down is up.",
      alike: "HAProxy `rise`",
    }),
    fall: absent(integer(1, 1000), {
      meaning:
        "Checks in a row that must fail until a server that is up is down. Failures of live traffic count too.",
      defaultText: "`3`; with `heartbeat: told` always `1`: its deadline is patience enough",
      alike: "HAProxy `fall`, keepalived `retry`",
    }),
    initial: optional(oneOf(["up", "down"]), "up", {
      meaning: "State until the first check has spoken.",
      alike: "HAProxy `init-state`, keepalived `alpha`",
    }),
  },
  {
    notMapHint: HEALTH_HINT,
    jsonSchema: { oneOf: CHECK_KINDS.map((kind) => ({ required: [kind] })) },
  },
);

export const healthSection = shortForm(fullHealthSection, expandHealth, {
  type: "`tcp`, `http`, `https`, `redis`, or map",
  jsonForms: [{ enum: CHECK_WORDS }],
});

type RawHealth = typeof fullHealthSection extends ValueKind<infer Output> ? Output : never;
type RawHttpCheck = typeof httpCheck extends ValueKind<infer Output> ? Output : never;

/** `health: tcp` as the map it stands for; what is no short form comes back as it is. */
export function expandHealth(input: unknown): unknown {
  return typeof input === "string" && CHECK_WORDS.includes(input) ? { [input]: {} } : input;
}

/** `heartbeat: told` and `heartbeat: /beat` as the map they stand for. */
export function expandHeartbeat(input: unknown): unknown {
  if (typeof input !== "string") return input;
  if (input === "told") return { told: true };
  return input.startsWith("/") ? { path: input } : input;
}

/** Called for sections without problems only: exactly one kind is there. */
export function buildHealth(raw: RawHealth): HealthConfig {
  const check = buildCheck(raw);
  const isTold = check.kind === "heartbeat" && check.mode === "told";
  const intervalMs = raw.interval;
  const halfMs = Math.ceil(intervalMs / 2);
  return {
    check,
    port: raw.port,
    intervalMs,
    fastIntervalMs: raw.fast_interval ?? Math.min(intervalMs, Math.max(FAST_INTERVAL_MS_MIN, halfMs)),
    timeoutMs: raw.timeout ?? Math.min(TIMEOUT_MS, halfMs),
    rise: raw.rise,
    fall: isTold ? 1 : (raw.fall ?? FALL),
    initial: raw.initial,
  };
}

function buildCheck(raw: RawHealth): HealthCheckConfig {
  const { tcp, http, https, redis, exec, heartbeat } = raw;
  if (tcp !== undefined) return { kind: "tcp", send: tcp.send, expect: tcp.expect };
  if (http !== undefined) return buildHttpCheck(http, false, false);
  if (https !== undefined) return buildHttpCheck(https, true, https.verify);
  if (redis !== undefined) return { kind: "redis", user: redis.user, password: redis.password };
  if (exec !== undefined) return { kind: "exec", command: exec };
  if (heartbeat === undefined) throw new Error("a health section without a check passed its validation");
  const progressDeadlineMs = heartbeat.progress_deadline;
  return heartbeat.path === undefined
    ? {
        kind: "heartbeat",
        mode: "told",
        deadlineMs: heartbeat.deadline ?? TOLD_DEADLINE_MS,
        progressDeadlineMs,
      }
    : { kind: "heartbeat", mode: "asked", path: heartbeat.path, progressDeadlineMs };
}

function buildHttpCheck(raw: RawHttpCheck, tls: boolean, verify: boolean): HttpCheckConfig {
  return {
    kind: "http",
    tls,
    verify,
    method: raw.method,
    path: raw.path,
    host: raw.host,
    headers: raw.headers,
    status: raw.status,
    bodyContains: raw.body_contains,
    bodyMatches: raw.body_matches,
  };
}

function parseCheckPath(input: unknown): Parsed<string> {
  if (typeof input === "string" && /^\/[!-~]*$/.test(input) && !input.includes("#")) return parsed(input);
  return refused(`${quoted(input)} is not a path`, "write /healthz, percent-encoded where needed");
}

function parseMethod(input: unknown): Parsed<string> {
  if (typeof input === "string" && /^[A-Z]+$/.test(input) && input !== "CONNECT") return parsed(input);
  return refused(`${quoted(input)} is not a method to check with`, "write GET, HEAD, POST or OPTIONS");
}

function parseCheckHost(input: unknown): Parsed<string> {
  const pattern = /^([a-z0-9_-]+(\.[a-z0-9_-]+)*\.?|\[[0-9a-f:.]+\])(:\d{1,5})?$/i;
  if (typeof input === "string" && pattern.test(input)) return parsed(input);
  return refused(`${quoted(input)} is not a host`, "write api.example.org");
}

function parseCheckText(input: unknown): Parsed<string> {
  if (typeof input === "string" && input !== "") return parsed(input);
  return refused(`${quoted(input)} is not a text`, 'put it in quotes: "PONG"');
}

/** Not shown in messages: they end up in logs. */
function parseSecret(input: unknown): Parsed<string> {
  if (typeof input === "string" && input !== "") return parsed(input);
  const what = input === "" || input === null ? "is empty" : `is a ${typeof input}, not a text`;
  return refused(what, "put it in quotes");
}

function parseRegularExpression(input: unknown): Parsed<string> {
  if (typeof input !== "string" || input === "") {
    return refused(`${quoted(input)} is not a regular expression`, "put it in quotes");
  }
  try {
    new RegExp(input);
    return parsed(input);
  } catch (error) {
    const reason = (error as Error).message.replace(/^Invalid regular expression: .*: /s, "");
    return refused(
      `${quoted(input)} does not compile: ${reason}`,
      "for a plain text, body_contains needs no escapes",
    );
  }
}

function statusKind(): ValueKind<readonly StatusRange[]> {
  const jsonEntry = {
    anyOf: [
      { type: "integer", minimum: 200, maximum: 599 },
      { type: "string", pattern: "^[2-5]\\d\\d(-[2-5]\\d\\d)?$" },
    ],
  };
  return value({
    type: "status, range or list of both",
    range: "200 to 599",
    parse: (input) => {
      const entries = Array.isArray(input) ? input : [input];
      if (entries.length === 0) return refused("must not be empty", STATUS_HINT);
      const ranges: StatusRange[] = [];
      for (const entry of entries) {
        const range = parseStatusRange(entry);
        if (!range.ok) return range;
        ranges.push(range.value);
      }
      return parsed(ranges);
    },
    jsonSchema: { anyOf: [...jsonEntry.anyOf, { type: "array", items: jsonEntry, minItems: 1 }] },
  });
}

const STATUS_HINT = "write 200, 200-399 or [200, 301-302]";

function parseStatusRange(input: unknown): Parsed<StatusRange> {
  const text = typeof input === "string" || typeof input === "number" ? `${input}` : "";
  const match = /^(\d{3})(?:\s*-\s*(\d{3}))?$/.exec(text);
  if (match === null) return refused(`${quoted(input)} is not a status or a range of them`, STATUS_HINT);
  const from = Number(match[1]);
  const to = Number(match[2] ?? match[1]);
  // 1xx announces the response and is none: a check waits for what follows it.
  if (from < 200 || to > 599)
    return refused(`${quoted(input)} is out of range: a response ends with 200 to 599`);
  return from <= to ? parsed([from, to]) : refused(`${quoted(input)} runs backwards`, `write ${to}-${from}`);
}

function headersKind(): ValueKind<HttpCheckConfig["headers"]> {
  return value({
    type: "map of header fields",
    parse: (input) => {
      if (typeof input !== "object" || input === null || Array.isArray(input)) {
        return refused(`${quoted(input)} is not a map`, 'write headers: { X-Check: "1" }');
      }
      const headers: [string, string][] = [];
      for (const [name, content] of Object.entries(input)) {
        const problem = headerProblem(name, content);
        if (problem !== undefined) return problem;
        headers.push([name, String(content)]);
      }
      return parsed(headers);
    },
    jsonSchema: { type: "object", additionalProperties: { type: ["string", "number"] } },
  });
}

function headerProblem(name: string, content: unknown): ReturnType<typeof refused> | undefined {
  if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name))
    return refused(`${quoted(name)} is not a field name`, "RFC 9110 §5.1");
  if (/^host$/i.test(name)) return refused("Host has a key of its own", "write host: beside headers:");
  if (/^(connection|content-length|transfer-encoding)$/i.test(name)) {
    return refused(
      `${name} is set by the check itself`,
      "a check has no body and closes its connection: remove it",
    );
  }
  const isText = typeof content === "string" || typeof content === "number";
  if (isText && /^[\t\x20-\x7e]*$/.test(String(content))) return undefined;
  return refused(`${name}: ${quoted(content)} is not a field value`, "write one line of ASCII, in quotes");
}

/** A program with its arguments, run without a shell. */
export function commandKind(): ValueKind<readonly string[]> {
  return value({
    type: "command, or list of command and arguments",
    parse: (input) => {
      const entries: unknown[] = Array.isArray(input) ? input : [input];
      const wrong = entries.find((entry) => typeof entry !== "string" && typeof entry !== "number");
      if (wrong !== undefined || entries.length === 0) {
        return refused(
          wrong === undefined ? "must not be empty" : `${quoted(wrong)} is not a word of a command`,
          `${COMMAND_HINT}; put words such as "true" in quotes`,
        );
      }
      const command = entries.map(String);
      const problem = commandProblem(command);
      return problem ?? parsed(command);
    },
    jsonSchema: {
      anyOf: [{ type: "string" }, { type: "array", items: { type: ["string", "number"] }, minItems: 1 }],
    },
  });
}

const COMMAND_HINT = "write exec: /usr/local/bin/check, or exec: [/usr/local/bin/check, --fast]";

function commandProblem(command: readonly string[]): ReturnType<typeof refused> | undefined {
  const program = command[0]!;
  if (program === "") return refused("the command is empty", COMMAND_HINT);
  if (command.some((word) => word.includes("\0")))
    return refused("the command holds a NUL character", COMMAND_HINT);
  if (/\s/.test(program)) {
    const words = program.trim().split(/\s+/).join(", ");
    return refused(
      `${quoted(program)} is one word with spaces: no shell takes it apart`,
      `write exec: [${words}]`,
    );
  }
  if (program.includes("/") && !program.startsWith("/")) {
    return refused(
      `${quoted(program)} is relative to a directory that nobody knows`,
      "write the absolute path",
    );
  }
  return undefined;
}
