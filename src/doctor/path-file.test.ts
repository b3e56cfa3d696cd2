/** PATH.yaml and words of the command line: what they mean, and what is said when they mean nothing. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { formatDiagnostic } from "../config/diagnostics.ts";
import { readHostFacts } from "../config/host-facts.ts";
import type { EndPointHop, PacketBoxHop, ProxyHop } from "./hop.ts";
import { parsePathFile } from "./path-file.ts";
import { pathFileJsonSchema } from "./path-file-schema.ts";
import type { RequestResult } from "./path-request.ts";
import { type DescribedPath, resolvePath } from "./path-resolution.ts";
import { parsePathWords } from "./path-words.ts";
import { corpusFiles, memoryFiles } from "./readers/reading-fixtures.ts";
import { parseScenario, parseScenarioWord } from "./scenario-words.ts";

const host = readHostFacts();
const corpus = corpusFiles().files;

function resolve(request: RequestResult, files = corpus): DescribedPath | string[] {
  if (!request.ok) return request.diagnostics.map(formatDiagnostic);
  const result = resolvePath(request.request, { files, host });
  return result.ok ? result.described : result.diagnostics.map(formatDiagnostic);
}

const words = (text: string, files = corpus) => resolve(parsePathWords(text.split(" ")), files);
const yaml = (text: string, files = corpus) => resolve(parsePathFile(text, "p.yaml"), files);

function hopsOf(result: DescribedPath | string[]): DescribedPath["path"]["hops"] {
  assert.ok(!Array.isArray(result), String(result));
  return result.path.hops;
}

test("parsePathFile() reads names, overrides, files and custom boxes, and says where each value stands", () => {
  const text = `path:
  - client: { so_keepalive: off, idle_timeout: 5m }
  - aws-nlb: { timeout: 351s }
  - nginx: { file: nginx/debian.conf, port: 8080, proxy_read_timeout: 7m }
  - box: { name: the firewall, timeout: 30m, half_closed: 60s, at_expiry: reset-both, after_expiry: adopt }
  - f5: 120s
  - node-http
scenarios: [ idle, { slow-response: 3m }, { idle: { at: 10m, then_speaks: server } } ]
`;
  const described = yaml(text);
  const [client, nlb, nginx, box, f5, server] = hopsOf(described) as [
    EndPointHop,
    PacketBoxHop,
    ProxyHop,
    PacketBoxHop,
    PacketBoxHop,
    EndPointHop,
  ];
  assert.deepEqual([client.idleTimeoutMs, client.tcp.keepalive], [300_000, undefined]);
  assert.equal(nlb.timeouts.establishedMs, 351_000);
  assert.equal(nginx.serverIdleTimeoutMs, 420_000);
  assert.deepEqual(nginx.clientSide.keepalive, { idleMs: 60_000, intervalMs: 10_000, probeCount: 6 });
  assert.equal(nginx.source.text, "app:6, listen 8080, location /");
  assert.deepEqual(
    [box.name, box.atExpiry, box.afterExpiry.fromServer],
    ["the firewall", "reset-both", "adopt"],
  );
  assert.equal(f5.timeouts.establishedMs, 120_000);
  assert.equal(server.idleTimeoutMs, 5000);
  assert.ok(!Array.isArray(described));
  assert.deepEqual(described.hops[1]?.settings.timeout, {
    label: "timeout",
    text: "351s",
    source: { text: "p.yaml:3" },
  });
  assert.equal(described.hops[2]?.settings.client_so_keepalive?.source.text, "app:2");
  const parsed = parsePathFile(text, "p.yaml");
  assert.deepEqual(parsed.ok && parsed.request.scenarios, [
    { kind: "idle" },
    { kind: "slow-response", responseTimeMs: 180_000 },
    { kind: "idle", atMs: 600_000, thenSpeaks: "server" },
  ]);
});

const BAD_FILES: readonly (readonly [what: string, text: string, ...messages: RegExp[]])[] = [
  [
    "an unknown box",
    "path: [client, aws-nlp, server]",
    /^p\.yaml:1:16: error: path\[1\]: "aws-nlp" is not a known box or program\n {2}hint: did you mean aws-nlb\?$/,
  ],
  [
    "an unknown setting",
    "path:\n  - client\n  - f5: { timout: 5m }\n  - server",
    /^p\.yaml:3:11: error: .*f5 has no setting "timout"\n {2}hint: did you mean timeout\?$/,
  ],
  [
    "a bad value",
    "path:\n  - client\n  - f5: { timeout: soon }\n  - server",
    /^p\.yaml:3:20: error: path\[1\]\.f5\.timeout: "soon" is not a duration\n {2}hint: .*never/,
  ],
  ["no list", "path: client", /^p\.yaml:1:7: error: path: must be a list of hops, not "client"/],
  ["no path", "scenarios: [idle]", /path is missing/],
  ["one hop", "path: [client]", /at least two hops/],
  [
    "two names in one entry",
    "path:\n  - { client: 1s, f5: 2s }\n  - server",
    /^p\.yaml:2:5: .*one hop per entry/,
  ],
  [
    "an unknown key",
    "pth: [client, server]",
    /^p\.yaml:1:1: error: pth: unknown key\n {2}hint: did you mean path\?/,
    /path is missing/,
  ],
  [
    "an unknown scenario",
    "path: [client, server]\nscenarios: [idel]",
    /^p\.yaml:2:13: error: scenarios\[0\]: "idel" is not a scenario\n {2}hint: did you mean idle\?/,
  ],
  ["YAML that is none", "path: [", /^p\.yaml:1:\d+: error: not valid YAML/],
  [
    "a server as client",
    "path: [postgres, server]",
    /^p\.yaml:1:8: error: path\[0\]: postgres is a server, not a client/,
  ],
  ["an end point in the middle", "path: [client, go, server]", /go is an end point and stands in the middle/],
  ["a box at the end", "path: [client, f5]", /the path ends with f5, which is no end point/],
  [
    "a file that is not there",
    "path:\n  - client\n  - nginx: { file: nothing.conf }\n  - server",
    /^nothing\.conf: error: there is no such file/,
  ],
  [
    "a file of another kind",
    "path:\n  - client\n  - f5: { file: haproxy/debian.cfg }\n  - server",
    /describes a HAProxy, mode http, and f5 is none/,
  ],
  ["a selector without a file", "path:\n  - client\n  - nginx: { port: 80 }\n  - server", /names no file/],
];

for (const [what, text, ...messages] of BAD_FILES) {
  test(`parsePathFile() refuses ${what} with its place and a hint`, () => {
    const problems = yaml(text);
    assert.ok(Array.isArray(problems), "was accepted");
    assert.equal(problems.length, messages.length, problems.join("\n"));
    for (const [index, message] of messages.entries()) assert.match(problems[index]!, message);
  });
}

test("parsePathWords() reads names, values, files with selectors, sysctl and ipvs", () => {
  const [client, lvs, haproxy, node] = hopsOf(
    words("client=60s:10s:3 lvs=90s haproxy/rhel.cfg:main/static node"),
  ) as [EndPointHop, PacketBoxHop, ProxyHop, EndPointHop];
  assert.deepEqual(client.tcp.keepalive, { idleMs: 60_000, intervalMs: 10_000, probeCount: 3 });
  assert.equal(lvs.timeouts.establishedMs, 90_000);
  assert.deepEqual([haproxy.clientIdleTimeoutMs, haproxy.serverIdleTimeoutMs], [10_000, 60_000]);
  assert.equal(node.name, "node-http");
});

test("parsePathWords() reads more settings after commas, and kernel defaults after @", () => {
  const [libpq, azure, postgres] = hopsOf(
    words("libpq@sysctl/sysctl-a.txt azure-lb=15m,tcp_reset=on postgres,tcp_keepalives_idle=30"),
  ) as [EndPointHop, PacketBoxHop, EndPointHop];
  assert.deepEqual(libpq.tcp, {
    keepalive: { idleMs: 600_000, intervalMs: 30_000, probeCount: 5 },
    userTimeoutMs: 0,
    retransmissionTimeoutMs: 102_200,
  });
  assert.deepEqual([azure.timeouts.establishedMs, azure.atExpiry], [900_000, "reset-both"]);
  assert.equal(postgres.tcp.keepalive?.idleMs, 30_000);
});

test("sysctl:FILE is a conntrack box between hops, and the kernel of an end at an end; ipvs:FILE is LVS", () => {
  const [client, conntrack, lvs, server] = hopsOf(
    words("sysctl:sysctl/sysctl-a.txt sysctl:sysctl/sysctl-a.txt ipvs:sysctl/ipvs-timeout.txt server"),
  ) as [EndPointHop, PacketBoxHop, PacketBoxHop, EndPointHop];
  assert.deepEqual([client.name, client.tcp.retransmissionTimeoutMs], ["client", 102_200]);
  assert.deepEqual([conntrack.name, conntrack.timeouts.establishedMs], ["conntrack", 86_400_000]);
  assert.deepEqual([lvs.name, lvs.timeouts.establishedMs, server.name], ["lvs", 900_000, "server"]);
});

test("a word for several fields gives way to the word for one, in any order", () => {
  for (const order of [
    "proxy,idle_timeout=5m,server_timeout=1m",
    "proxy,server_timeout=1m,idle_timeout=5m",
  ]) {
    const [, proxy] = hopsOf(words(`client ${order} server`)) as [EndPointHop, ProxyHop, EndPointHop];
    assert.deepEqual([proxy.clientIdleTimeoutMs, proxy.serverIdleTimeoutMs], [300_000, 60_000]);
  }
});

test("resolvePath() reports the problems of all hops, not the first", () => {
  const problems = words("clinet aws-nlb=never,x=1 nothing.conf server");
  assert.ok(Array.isArray(problems));
  assert.equal(problems.length, 3, problems.join("\n"));
  assert.match(
    problems[0]!,
    /"clinet": error: "clinet" is not a known box or program\n {2}hint: did you mean client\?/,
  );
});

const GATEWAY = `listeners:
  web:
    bind: 127.0.0.1:8080
    so_keepalive: 30s:5s:4
    http: { keepalive_timeout: 20s, routes: [{ pool: app }] }
  pg: { bind: 127.0.0.1:5432, tcp: { pool: db, idle_timeout: 1h, on_idle: reset } }
pools:
  app: { servers: ["127.0.0.1:3000"], read_timeout: 90s }
  db: { servers: ["127.0.0.1:5433"], so_keepalive: off }
`;

test("holdfast's own file: listener and pool, with lines; keepalive_timeout auto lets go before the server", () => {
  const files = memoryFiles({ "gateway.yaml": GATEWAY });
  const described = words("client gateway.yaml:web node-http", files);
  const [, web] = hopsOf(described) as [EndPointHop, ProxyHop, EndPointHop];
  assert.deepEqual(
    [web.clientIdleTimeoutMs, web.serverIdleTimeoutMs, web.upstreamIdleTimeoutMs],
    [20_000, 90_000, 4500],
  );
  assert.deepEqual(web.clientSide.keepalive, { idleMs: 30_000, intervalMs: 5000, probeCount: 4 });
  assert.ok(!Array.isArray(described));
  const settings = described.hops[1]!.settings;
  assert.deepEqual(
    [
      settings.client_so_keepalive?.source.text,
      settings.server_timeout?.source.text,
      settings.server_so_keepalive?.source.text,
    ],
    ["gateway.yaml:4", "gateway.yaml:8", "default"],
  );
  const [, pg] = hopsOf(words("client gateway.yaml:5432 postgres", files)) as [
    EndPointHop,
    ProxyHop,
    EndPointHop,
  ];
  assert.deepEqual(
    [pg.protocol, pg.clientIdleTimeoutMs, pg.onServerTimeout, pg.serverSide.keepalive],
    ["tcp", 3_600_000, "reset", undefined],
  );
  const bad = words(
    "client gateway.yaml server",
    memoryFiles({ "gateway.yaml": GATEWAY.replace("90s", "soon") }),
  );
  assert.match(String(bad), /gateway\.yaml:8:\d+: error: pools\.app\.read_timeout/);
});

test("parseScenarioWord() and parseScenario() read the same scenarios", () => {
  const cases = [
    ["idle", "idle", { kind: "idle" }],
    [
      "idle=10m,server",
      { idle: { at: "10m", then_speaks: "server" } },
      { kind: "idle", atMs: 600_000, thenSpeaks: "server" },
    ],
    ["slow-response=5m", { "slow-response": "5m" }, { kind: "slow-response", responseTimeMs: 300_000 }],
    [
      "half-closed=server",
      { "half-closed": { ended_by: "server" } },
      { kind: "half-closed", endedBy: "server", atMs: 120_000 },
    ],
    [
      "host-dies-in-flight=client",
      { "host-dies-in-flight": "client" },
      { kind: "host-dies-in-flight", who: "client" },
    ],
  ] as const;
  for (const [word, raw, scenario] of cases) {
    assert.deepEqual(parseScenarioWord(word), { ok: true, value: scenario }, word);
    assert.deepEqual(parseScenario(raw), { ok: true, value: scenario }, word);
  }
  for (const bad of [
    "",
    "idle=soon",
    "slow-response=0",
    5,
    null,
    { idle: { who: "client" } },
    { idle: 1, x: 2 },
    { "host-dies-idle": "both" },
  ]) {
    assert.equal(parseScenario(bad).ok, false, JSON.stringify(bad));
  }
});

test("pathFileJsonSchema() knows every name", () => {
  const schema = JSON.stringify(pathFileJsonSchema());
  for (const word of ["aws-nlb", "proxy_read_timeout", "so_keepalive", "slow-response"])
    assert.ok(schema.includes(`"${word}"`), word);
});
