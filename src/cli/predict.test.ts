/** `holdfast predict` as the command line runs it, and its renderers against golden files (HOLDFAST_UPDATE_GOLDEN=1 writes them). */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { projectRoot } from "../../test/harness/paths.ts";
import { readHostFacts } from "../config/host-facts.ts";
import type { Fate } from "../doctor/fate.ts";
import { parsePathFile } from "../doctor/path-file.ts";
import { resolvePath } from "../doctor/path-resolution.ts";
import { predictCommand } from "./predict.ts";
import { diskFiles } from "./predict-files.ts";
import { reportHtml } from "./predict-html.ts";
import { type PredictionReport, reportJson } from "./predict-report.ts";
import { escapeXml, reportSvg } from "./predict-svg.ts";
import { formatMoment, reportText } from "./predict-text.ts";

const directory = mkdtempSync(path.join(tmpdir(), "holdfast-predict-"));
process.on("exit", () => rmSync(directory, { recursive: true }));
const corpus = path.join(projectRoot, "test/corpus/configs");

async function predict(...args: string[]): Promise<{ out: string; err: string; status: unknown }> {
  const before = process.exitCode;
  process.exitCode = undefined;
  let out = "";
  let err = "";
  const writeOut = (text: string) => {
    out += text;
  };
  const writeErr = (text: string) => {
    err += text;
  };
  try {
    await predictCommand()
      .exitOverride()
      .configureOutput({ writeOut, writeErr })
      .parseAsync(args, { from: "user" });
    return { out, err, status: process.exitCode };
  } catch (error) {
    // As main.ts does: whatever commander refuses is a wrong question.
    return { out, err, status: (error as { exitCode: number }).exitCode === 0 ? 0 : 2 };
  } finally {
    process.exitCode = before;
  }
}

test("predict says that LVS forgets after 90 s while the server computes, exit 1, and that keepalive mends it, exit 0", async () => {
  const bad = await predict("client", "lvs=90s", "server", "--scenario", "slow-response=2m");
  assert.equal(bad.status, 1, bad.err);
  assert.match(bad.out, /✗ .*120 s/);
  assert.match(bad.out, /lvs.*90 s/);
  assert.match(bad.out, /Smallest change\n/);
  const good = await predict("client=60s:10s:3", "lvs=90s", "server", "--scenario", "slow-response=2m");
  assert.equal(good.status, 0, good.out);
});

test("predict does not offer as an alternative what is a part of a plan of many values", async () => {
  const { out } = await predict("libpq", "aws-nlb", "postgres");
  const [plan = "", rest = ""] = out.split("one value alone mends a part only:");
  assert.match(plan, /One value mends what is quiet or slow: .*For dead hosts, \d more: /);
  assert.match(plan, /^ {2}and for dead hosts:$/m);
  assert.match(rest, /hop 2, aws-nlb: idle time-out/);
  assert.doesNotMatch(out, /^ {2}or:/m);
  const steps = [...plan.matchAll(/→ (hop \d+, [^:]+: [^:]+):/g)].map(([, step]) => step!);
  assert.ok(steps.length >= 2, out);
  for (const step of steps) assert.ok(!rest.includes(step), `${step} in ${rest}`);
});

test("predict lets nothing of a file drive the terminal: names, and the words that errors quote", async () => {
  const named = path.join(directory, "escapes.yaml");
  writeFileSync(named, 'path: [client, { box: { name: "a\\e[2Jb\\n\\u202ec", timeout: 90s } }, server]\n');
  const { out } = await predict(named);
  assert.match(out, /a\\u001b\[2Jb \\u202ec {2}packet box/);
  assert.doesNotMatch(out, /[^\P{Cc}\n]|\p{Bidi_Control}/u);
  const unknown = path.join(directory, "unknown.yaml");
  writeFileSync(unknown, 'path: [client, "x\\e[2J", server]\n');
  const { err } = await predict(unknown);
  assert.match(err, /"x\\u001b\[2J" is not a known box/);
});

test("predict PATH.yaml plays its scenarios; --json has stable names", async () => {
  const { out, err, status } = await predict(`${corpus}/paths/issue.yaml`, "--json");
  const answer = JSON.parse(out);
  assert.equal(status, 1, err);
  assert.deepEqual(
    answer.path.map(({ name, kind }: { name: string; kind: string }) => [name, kind]),
    [
      ["client", "end-point"],
      ["aws-nlb", "packet-box"],
      ["nginx", "proxy"],
      ["the <office> firewall & NAT", "packet-box"],
      ["node-http", "end-point"],
    ],
  );
  assert.equal(answer.predictions.length, 4);
  assert.deepEqual(Object.keys(answer), [
    "isHealthy",
    "path",
    "predictions",
    "contradictions",
    "advice",
    "warnings",
  ]);
  assert.equal(
    answer.path[2].settings.find(({ field }: { field: string }) => field === "server_timeout").value,
    "120s",
  );
});

test("predict --svg and --html write self-contained files in which names are escaped", async () => {
  const [svg, html] = [path.join(directory, "a.svg"), path.join(directory, "a.html")];
  await predict(`${corpus}/paths/issue.yaml`, "--svg", svg, "--html", html);
  for (const file of [svg, html]) {
    const text = readFileSync(file, "utf8");
    assert.ok(text.includes("the &lt;office&gt; firewall &amp; NAT"), file);
    assert.doesNotMatch(text, /<office>|<script|<link|@import|src=|url\(/);
    assert.match(text, /prefers-color-scheme: dark/);
  }
  const unwritable = await predict("client", "f5", "server", "--svg", path.join(directory, "no/such/a.svg"));
  assert.deepEqual([unwritable.status, /cannot be written \(ENOENT\)/.test(unwritable.err)], [2, true]);
});

test("predict refuses wrong questions with status 2, place and hint", async () => {
  for (const [args, message] of [
    [[], /error: no path named; example: holdfast predict/],
    [
      ["client", "aws-nlp", "server"],
      /"aws-nlp": error: .*is not a known box[\s\S]*hint: did you mean aws-nlb\?/,
    ],
    [["client"], /at least two hops/],
    [["nothing.yaml"], /nothing\.yaml: error: there is no such file/],
    [["client", "f5", "server", "--response-time", "soon"], /"soon" is not a duration/],
    [["client", "f5", "server", "--scenario", "idel"], /did you mean idle\?/],
  ] as const) {
    const { err, status } = await predict(...args);
    assert.match(err, message);
    assert.equal(status, 2);
  }
  const json = await predict("client", "aws-nlp", "server", "--json");
  assert.equal(JSON.parse(json.out).diagnostics.length, 1);
});

test("predict --list prints every name, and --list --json the sources; --schema is for editors", async () => {
  const { out, status } = await predict("--list");
  assert.match(out, /^aws-nlb +350s/m);
  assert.match(out, /^juniper-srx +1800s +\?/m);
  assert.equal(status, undefined);
  const entries = JSON.parse((await predict("--list", "--json")).out);
  assert.ok(entries.length >= 40);
  assert.equal(JSON.parse((await predict("--schema")).out).title, "A path for holdfast predict");
});

const text = `path:
  - client
  - box: { name: "a <b> & 'c'", timeout: 90s, after_expiry: reset }
  - node-http
`;

/** A fate made by hand, so that the renderers are tested and not the simulation. */
function fixedReport(): PredictionReport {
  const request = parsePathFile(text, "path.yaml");
  assert.ok(request.ok);
  const resolved = resolvePath(request.request, { files: diskFiles(), host: readHostFacts() });
  assert.ok(resolved.ok);
  const leg = 0;
  const fate: Fate = {
    scenario: { kind: "slow-response", responseTimeMs: 120_000 },
    events: [
      {
        atMs: 0,
        hop: 0,
        leg,
        what: "sends-payload",
        errno: undefined,
        text: "client sends a request",
        to: 2,
      },
      {
        atMs: 60_000,
        hop: 2,
        leg,
        what: "sends-probe",
        errno: undefined,
        text: "node-http's kernel asks",
        to: 0,
      },
      {
        atMs: 60_000,
        hop: 0,
        leg,
        what: "probe-answered",
        errno: undefined,
        text: "client's kernel answers",
      },
      { atMs: 90_000, hop: 1, leg, what: "forgets", errno: undefined, text: "a <b> & 'c' forgets" },
      {
        atMs: 120_000,
        hop: 2,
        leg,
        what: "sends-payload",
        errno: undefined,
        text: "node-http answers",
        to: 1,
      },
      {
        atMs: 120_000,
        hop: 1,
        leg,
        what: "sends-reset",
        errno: undefined,
        text: "a <b> & 'c' answers with RST",
        to: 2,
      },
      { atMs: 120_000, hop: 2, leg, what: "gets-reset", errno: "ECONNRESET", text: "node-http is told" },
    ],
    ends: [],
    culprit: 1,
    verdict: "a <b> & 'c' forgets the connection after 90 s",
    isHealthy: false,
    untilMs: 120_000,
  };
  const remedy = {
    hop: 0,
    setting: "so_keepalive",
    from: "off",
    to: "60s:10s:3",
    directive: "so_keepalive=60s:10s:3",
    mends: [],
    leavesBroken: [],
    cost: "a packet a minute",
  };
  return {
    described: resolved.described,
    predictions: [{ title: "The answer takes 120 s", fate }],
    contradictions: [
      {
        hops: [0, 1],
        rule: "probes-never-reach-the-box",
        severity: "warning",
        text: "no <probes>",
        fix: "turn it on",
      },
    ],
    advice: {
      remedies: [remedy],
      plan: [remedy],
      forDeadHosts: [],
      mendedPath: resolved.described.path,
      brokenBefore: [fate.scenario],
      brokenAfter: [],
      contradictionsAfter: [],
      text: "One value mends all.",
    },
    isHealthy: false,
  };
}

const RENDERERS = {
  "report.txt": (report: PredictionReport) => reportText(report, { isColoured: false, isVerbose: false }),
  "report.svg": reportSvg,
  "report.html": reportHtml,
  "report.json": reportJson,
} as const;

for (const [name, render] of Object.entries(RENDERERS)) {
  test(`the renderer of ${name} writes what the golden file has`, () => {
    const file = path.join(projectRoot, "test/corpus/predict", name);
    const rendered = render(fixedReport());
    if (process.env.HOLDFAST_UPDATE_GOLDEN === "1") {
      mkdirSync(path.dirname(file), { recursive: true });
      writeFileSync(file, rendered);
    }
    assert.equal(rendered, readFileSync(file, "utf8"));
  });
}

test("escapeXml() leaves nothing that XML forbids or reads as markup", () => {
  assert.equal(escapeXml(`<a b="c">&'\u0000\ud800`), "&lt;a b=&quot;c&quot;&gt;&amp;&#39;��");
});

test("formatMoment() keeps seconds up to 20 minutes, so that 350 s and 900 s are recognised", () => {
  assert.deepEqual([0, 201, 350_000, 924_600, 1_200_000, 7_875_000].map(formatMoment), [
    "0s",
    "201ms",
    "350s",
    "924.6s",
    "1200s",
    "2h11m15s",
  ]);
});
