/** Tests of health-section.ts and health-findings.ts: every form of a check, and the words for every wrong one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { loaded, refusals } from "./load-fixtures.ts";
import type { HealthCheckConfig, HealthConfig } from "./types.ts";

function file(health: string, top = "heartbeats: { bind: 127.0.0.1:9902 }\n"): string {
  return `${top}listeners: { web: { bind: 80, tcp: app } }
pools:
  app:
    health: ${health}
    servers: [127.0.0.1:81]
`;
}

function healthOf(health: string): HealthConfig {
  const top = health.includes("told") ? "heartbeats: { bind: 127.0.0.1:9902 }\n" : "";
  const { config, warnings } = loaded(file(health, top));
  assert.deepEqual(warnings, []);
  return config.pools[0]!.health!;
}

const TCP: HealthCheckConfig = { kind: "tcp", send: undefined, expect: undefined };
const HTTP: HealthCheckConfig = {
  kind: "http",
  tls: false,
  verify: false,
  method: "GET",
  path: "/",
  host: undefined,
  headers: [],
  status: [[200, 399]],
  bodyContains: undefined,
  bodyMatches: undefined,
};
const ASKED: HealthCheckConfig = {
  kind: "heartbeat",
  mode: "asked",
  path: "/beat",
  progressDeadlineMs: 30_000,
};
const TOLD: HealthCheckConfig = {
  kind: "heartbeat",
  mode: "told",
  deadlineMs: 5000,
  progressDeadlineMs: 30_000,
};

const FORMS: [yaml: string, check: HealthCheckConfig][] = [
  ["tcp", TCP],
  ["{ tcp }", TCP],
  ["{ tcp: {} }", TCP],
  ['{ tcp: { send: "PING\\r\\n", expect: PONG } }', { ...TCP, send: "PING\r\n", expect: "PONG" }],
  ["http", HTTP],
  ["{ http: /healthz?full=1 }", { ...HTTP, path: "/healthz?full=1" }],
  ["{ http: { path: /healthz, status: 204 } }", { ...HTTP, path: "/healthz", status: [[204, 204]] }],
  [
    '{ http: { status: [200, "301-302"] } }',
    {
      ...HTTP,
      status: [
        [200, 200],
        [301, 302],
      ],
    },
  ],
  ["{ http: { status: 200-399 } }", HTTP],
  [
    '{ http: { method: HEAD, host: "a.example:8080", headers: { X-Check: 1, Accept: "*/*" } } }',
    {
      ...HTTP,
      method: "HEAD",
      host: "a.example:8080",
      headers: [
        ["X-Check", "1"],
        ["Accept", "*/*"],
      ],
    },
  ],
  [
    '{ http: { body_contains: ok, body_matches: "^o.$" } }',
    { ...HTTP, bodyContains: "ok", bodyMatches: "^o.$" },
  ],
  ["{ https: { host: a.example } }", { ...HTTP, tls: true, verify: true, host: "a.example" }],
  ["{ https: { path: /h, verify: off } }", { ...HTTP, tls: true, path: "/h" }],
  ["redis", { kind: "redis", user: undefined, password: undefined }],
  ["{ redis: { user: u, password: secret } }", { kind: "redis", user: "u", password: "secret" }],
  ["{ exec: /bin/check }", { kind: "exec", command: ["/bin/check"] }],
  ["{ exec: [check, -n, 3] }", { kind: "exec", command: ["check", "-n", "3"] }],
  ["{ heartbeat: /beat }", ASKED],
  [
    "{ heartbeat: { path: /beat, progress_deadline: 1m } }",
    { kind: "heartbeat", mode: "asked", path: "/beat", progressDeadlineMs: 60_000 },
  ],
  ["{ heartbeat: told }", TOLD],
  [
    "{ heartbeat: { told: true, deadline: 3s, progress_deadline: 0 } }",
    { kind: "heartbeat", mode: "told", deadlineMs: 3000, progressDeadlineMs: 0 },
  ],
];

for (const [yaml, check] of FORMS) {
  test(`buildHealth() reads "health: ${yaml}"`, () => {
    assert.deepEqual(healthOf(yaml).check, check);
  });
}

/** interval, fast_interval, timeout, rise, fall */
const TIMINGS: [yaml: string, timing: number[]][] = [
  ["tcp", [2000, 1000, 1000, 2, 3]],
  ["{ tcp, interval: 10s }", [10_000, 5000, 1000, 2, 3]],
  ["{ tcp, interval: 300ms }", [300, 200, 150, 2, 3]],
  ["{ tcp, interval: 100ms }", [100, 100, 50, 2, 3]],
  ["{ tcp, interval: 4s, fast_interval: 500ms, timeout: 3s, rise: 1, fall: 5 }", [4000, 500, 3000, 1, 5]],
  ["{ heartbeat: /beat }", [2000, 1000, 1000, 2, 3]],
  ["{ heartbeat: told }", [2000, 1000, 1000, 2, 1]],
  ["{ heartbeat: told, rise: 3 }", [2000, 1000, 1000, 3, 1]],
];

for (const [yaml, timing] of TIMINGS) {
  test(`buildHealth() fills in the timing of "health: ${yaml}"`, () => {
    const { intervalMs, fastIntervalMs, timeoutMs, rise, fall } = healthOf(yaml);
    assert.deepEqual([intervalMs, fastIntervalMs, timeoutMs, rise, fall], timing);
  });
}

test("buildHealth() knows a port and a state to begin with", () => {
  const { port, initial } = healthOf("{ http: /, port: 8081, initial: down }");
  assert.deepEqual([port, initial], [8081, "down"]);
  assert.deepEqual([healthOf("tcp").port, healthOf("tcp").initial], [undefined, "up"]);
});

const FORM_HINT =
  "write health: tcp, health: { http: /healthz }, health: { exec: /usr/local/bin/check } or health: { heartbeat: told }";

/** Without "f:5:COLUMN: error: pools.app.". */
const REFUSED: [yaml: string, ...expected: string[]][] = [
  ["ping", `health: must be a map of keys, not "ping"\n  hint: ${FORM_HINT}`],
  [
    "{}",
    "health: names no check: one of tcp, http, https, redis, exec, heartbeat is missing\n  hint: add tcp: {} (the server accepts connections) or http: /healthz (it answers)",
  ],
  ["{ htp: / }", "health.htp: unknown key\n  hint: did you mean http?"],
  ["{ HTTP_GET: / }", "health.HTTP_GET: unknown key\n  hint: here it is called http"],
  [
    "{ tcp, inter: 2s, delay_loop: 3, fastinter: 1s, connect_port: 80 }",
    "health.inter: unknown key\n  hint: here it is called interval",
    "health.delay_loop: unknown key\n  hint: here it is called interval",
    "health.fastinter: unknown key\n  hint: here it is called fast_interval",
    "health.connect_port: unknown key\n  hint: here it is called port",
  ],
  [
    "{ type: http, path: /x }",
    "health.type: unknown key\n  hint: the kind is a key: health: { http: { path: /healthz }, interval: 2s }",
    "health.path: unknown key\n  hint: it belongs in pools.NAME.health.http.path or pools.NAME.health.https.path or pools.NAME.health.heartbeat.path",
  ],
  [
    "{ tcp, http: / }",
    "health.http: a second check beside tcp: a pool has one\n  hint: keep one of them; exec can run a program that asks several questions",
  ],
  [
    "{ http: healthz }",
    'health.http: "healthz" is not a path\n  hint: write /healthz, percent-encoded where needed',
  ],
  [
    "{ http: { status: 99 } }",
    "health.http.status: 99 is not a status or a range of them\n  hint: write 200, 200-399 or [200, 301-302]",
  ],
  [
    "{ http: { status: 100-399 } }",
    'health.http.status: "100-399" is out of range: a response ends with 200 to 599',
  ],
  ["{ http: { status: 399-200 } }", 'health.http.status: "399-200" runs backwards\n  hint: write 200-399'],
  [
    "{ http: { status: [] } }",
    "health.http.status: must not be empty\n  hint: write 200, 200-399 or [200, 301-302]",
  ],
  [
    '{ http: { body_matches: "(" } }',
    'health.http.body_matches: "(" does not compile: Unterminated group\n  hint: for a plain text, body_contains needs no escapes',
  ],
  [
    "{ http: { method: HEAD, body_contains: ok } }",
    "health.http.body_contains: the response to HEAD has no body (RFC 9110 §9.3.2)\n  hint: write method: GET",
  ],
  [
    "{ http: { headers: { Host: a } } }",
    "health.http.headers: Host has a key of its own\n  hint: write host: beside headers:",
  ],
  [
    '{ http: { headers: { X: "a\\nb" } } }',
    'health.http.headers: X: "a\\nb" is not a field value\n  hint: write one line of ASCII, in quotes',
  ],
  [
    "{ http: { verify: false } }",
    "health.http.verify: there is no certificate without TLS\n  hint: write https in place of http, or remove it",
  ],
  [
    "{ redis: { user: u } }",
    "health.redis.user: AUTH needs a password beside the user\n  hint: add password, or remove user",
  ],
  [
    "{ redis: { password: 1234 } }",
    "health.redis.password: is a number, not a text\n  hint: put it in quotes",
  ],
  [
    '{ exec: "/bin/check -n 3" }',
    'health.exec: "/bin/check -n 3" is one word with spaces: no shell takes it apart\n  hint: write exec: [/bin/check, -n, 3]',
  ],
  [
    '{ exec: [/bin/check, "a\\0b"] }',
    "health.exec: the command holds a NUL character\n  hint: write exec: /usr/local/bin/check, or exec: [/usr/local/bin/check, --fast]",
  ],
  [
    "{ exec: bin/check }",
    'health.exec: "bin/check" is relative to a directory that nobody knows\n  hint: write the absolute path',
  ],
  [
    "{ exec: [a, true] }",
    'health.exec: true is not a word of a command\n  hint: write exec: /usr/local/bin/check, or exec: [/usr/local/bin/check, --fast]; put words such as "true" in quotes',
  ],
  [
    "{ heartbeat: {} }",
    "health.heartbeat: neither asks nor listens: path or told is missing\n  hint: add path: /beat (the gateway asks, and the application answers) or told: true (the application pushes)",
  ],
  [
    "{ heartbeat: { path: /b, told: true } }",
    "health.heartbeat.path: told and path exclude each other\n  hint: keep path to ask the application, or told to let it push",
  ],
  [
    "{ heartbeat: { path: /b, deadline: 5s } }",
    "health.heartbeat.deadline: belongs to told\n  hint: an asked heartbeat must answer within timeout: set that",
  ],
  [
    "{ heartbeat: beat }",
    'health.heartbeat: must be a map of keys, not "beat"\n  hint: write heartbeat: /beat (the gateway asks) or heartbeat: told (the application pushes)',
  ],
  ["{ tcp, fall: 0 }", "health.fall: 0 is out of range: allowed is 1 to 1000"],
  ["{ tcp, interval: 1ms }", 'health.interval: "1ms" is out of range: allowed is 10ms to 24d'],
];

for (const [yaml, ...expected] of REFUSED) {
  test(`loadConfig() explains "health: ${yaml}"`, () => {
    const found = refusals(file(yaml)).map((text) => text.replace(/^f:5:\d+: error: pools\.app\./, ""));
    assert.deepEqual(found, expected);
  });
}

test("findHealthProblems() names the place and the missing section when beats have nowhere to go", () => {
  const hint = "hint: add at the top level: heartbeats: { bind: 127.0.0.1:9902 }";
  const message = "there is nowhere to push beats to: the file has no heartbeats section";
  assert.deepEqual(refusals(file("{ heartbeat: told }", "")), [
    `f:4:26: error: pools.app.health.heartbeat: ${message}\n  ${hint}`,
  ]);
  assert.deepEqual(refusals(file("{ heartbeat: { told: on } }", "")), [
    `f:4:34: error: pools.app.health.heartbeat.told: ${message}\n  ${hint}`,
  ]);
});
