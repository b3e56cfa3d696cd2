/**
 * The same bytes to nginx, to HAProxy and to Holdfast: who serves them and who refuses. Where both peers agree, Holdfast must agree
 * too, unless the row says why it is stricter. Prints the rows on which anybody differs. (Debian's nginx 1.22, HAProxy 2.6.)
 */
import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { requirePeer } from "../harness/peers.ts";
import { freePort, withTimeout } from "../harness/program.ts";
import { startHaproxy, startHoldfast, startNginx } from "../harness/servers.ts";
import { readOriginRequest, response } from "../harness/stage.ts";
import { connectWire, type ScriptedOrigin, startScriptedOrigin } from "../harness/wire.ts";

interface Row {
  readonly name: string;
  readonly bytes: string;
  /** What the RFC leaves no choice about. */
  readonly must?: "served" | "refused";
  /** Why Holdfast refuses what its peers, or one of them, serve. */
  readonly stricter?: string;
}

const head = (...lines: string[]): string => `${lines.join("\r\n")}\r\n\r\n`;
const GET = "GET /row HTTP/1.1";
const POST = ["POST /row HTTP/1.1", "Host: test"];
const CHUNKED = "Transfer-Encoding: chunked";

const ROWS: readonly Row[] = [
  { name: "GET", bytes: head(GET, "Host: test"), must: "served" },
  { name: "HTTP/1.0 without Host", bytes: head("GET /row HTTP/1.0"), must: "served" },
  { name: "absolute-form", bytes: head("GET http://test/row HTTP/1.1", "Host: test"), must: "served" },
  { name: "an empty line first", bytes: `\r\n${head(GET, "Host: test")}`, must: "served" },
  { name: "POST with Content-Length", bytes: `${head(...POST, "Content-Length: 5")}hello`, must: "served" },
  { name: "POST with Content-Length 0", bytes: head(...POST, "Content-Length: 0"), must: "served" },
  { name: "POST, chunked", bytes: `${head(...POST, CHUNKED)}5\r\nhello\r\n0\r\n\r\n`, must: "served" },
  {
    name: "POST, CHUNKED",
    bytes: `${head(...POST, "Transfer-Encoding: CHUNKED")}5\r\nhello\r\n0\r\n\r\n`,
    must: "served",
  },
  { name: "chunk extension", bytes: `${head(...POST, CHUNKED)}5;a=b\r\nhello\r\n0\r\n\r\n`, must: "served" },
  { name: "trailers", bytes: `${head(...POST, CHUNKED)}5\r\nhello\r\n0\r\nT: 1\r\n\r\n`, must: "served" },
  { name: "obs-text in a value", bytes: head(GET, "Host: test", "X: \xe9"), must: "served" },
  { name: "an empty value", bytes: head(GET, "Host: test", "X:"), must: "served" },
  { name: "an unknown method", bytes: head("BREW /row HTTP/1.1", "Host: test"), must: "served" },
  {
    name: "a query of every kind of octet",
    bytes: head("GET /row?a=1&b=%20;'()*+,! HTTP/1.1", "Host: test"),
    must: "served",
  },
  { name: "a body on GET", bytes: `${head(GET, "Host: test", "Content-Length: 5")}hello`, must: "served" },
  { name: "Host with a port", bytes: head(GET, "Host: test:80"), must: "served" },
  { name: "IPv6 Host", bytes: head(GET, "Host: [::1]"), must: "served" },

  { name: "no Host", bytes: head(GET, "X: y"), must: "refused" },
  { name: "two Hosts", bytes: head(GET, "Host: a", "Host: b"), must: "refused" },
  { name: "whitespace before the colon", bytes: head(GET, "Host: test", "X : y"), must: "refused" },
  {
    name: "whitespace before Transfer-Encoding's colon",
    bytes: `${head(...POST, "Transfer-Encoding : chunked")}0\r\n\r\n`,
    must: "refused",
  },
  {
    name: "chunked not last",
    bytes: `${head(...POST, "Transfer-Encoding: chunked, gzip")}0\r\n\r\n`,
    must: "refused",
  },
  {
    name: "an unknown transfer coding",
    bytes: `${head(...POST, "Transfer-Encoding: gzip")}hello`,
    must: "refused",
  },
  {
    name: "Content-Length that differ",
    bytes: `${head(...POST, "Content-Length: 5", "Content-Length: 6")}hello`,
    must: "refused",
  },
  { name: "Content-Length -5", bytes: `${head(...POST, "Content-Length: -5")}hello`, must: "refused" },
  { name: "Content-Length +5", bytes: `${head(...POST, "Content-Length: +5")}hello`, must: "refused" },
  { name: "Content-Length 5x", bytes: `${head(...POST, "Content-Length: 5x")}hello`, must: "refused" },
  {
    name: "Content-Length 2^64 + 5",
    bytes: `${head(...POST, "Content-Length: 18446744073709551621")}hello`,
    must: "refused",
  },
  {
    name: "a chunk size that is none",
    bytes: `${head(...POST, CHUNKED)}x\r\nhello\r\n0\r\n\r\n`,
    must: "refused",
  },
  {
    name: "a chunk size of 2^64 + 5",
    bytes: `${head(...POST, CHUNKED)}10000000000000005\r\nhello\r\n0\r\n\r\n`,
    must: "refused",
  },
  {
    name: "a chunk longer than its size",
    bytes: `${head(...POST, CHUNKED)}3\r\nhello\r\n0\r\n\r\n`,
    must: "refused",
  },
  { name: "a NUL in a value", bytes: head(GET, "Host: test", "X: a\0b"), must: "refused" },
  { name: "a NUL in the target", bytes: head("GET /row\0 HTTP/1.1", "Host: test"), must: "refused" },
  { name: "garbage", bytes: "\x16\x03\x01\x02\r\n\r\n", must: "refused" },

  {
    name: "Content-Length and Transfer-Encoding",
    bytes: `${head(...POST, "Content-Length: 5", CHUNKED)}0\r\n\r\n`,
  },
  {
    name: "Content-Length that agree",
    bytes: `${head(...POST, "Content-Length: 5", "Content-Length: 5")}hello`,
  },
  {
    name: "Transfer-Encoding in HTTP/1.0",
    bytes: `${head("POST /row HTTP/1.0", "Host: test", CHUNKED)}0\r\n\r\n`,
  },
  { name: "chunked twice", bytes: `${head(...POST, "Transfer-Encoding: chunked, chunked")}0\r\n\r\n` },
  {
    name: "bare LFs",
    bytes: "GET /row HTTP/1.1\nHost: test\n\n",
    stricter:
      "RFC 9112 §2.2 lets a recipient take a bare LF; two parsers that disagree on it are a smuggling gadget",
  },
  {
    name: "a bare LF after a chunk size",
    bytes: `${head(...POST, CHUNKED)}5\nhello\r\n0\r\n\r\n`,
    stricter: "RFC 9112 §7.1 has no bare LF",
  },
  {
    name: "obs-fold",
    bytes: head(GET, "Host: test", "X: a", " b"),
    stricter: "RFC 9112 §5.2: a server MUST reject it or replace it by SP",
  },
  { name: "a line without a colon", bytes: head(GET, "Host: test", "nonsense"), stricter: "RFC 9112 §5" },
  {
    name: "an octet that is no token in a name",
    bytes: head(GET, "Host: test", "X(): y"),
    stricter: "RFC 9110 §5.1",
  },
  {
    name: "a bare CR in a value",
    bytes: head(GET, "Host: test", "X: a\rb"),
    stricter: "RFC 9112 §2.2: invalid, or replaced by SP",
  },
  {
    name: "a fragment in the target",
    bytes: head("GET /row#x HTTP/1.1", "Host: test"),
    stricter: "RFC 9112 §3.2: a request-target has no fragment",
  },
  { name: "an empty Host", bytes: head(GET, "Host:"), stricter: "RFC 9110 §4.2.1: an http URI has a host" },
  {
    name: "HTTP/1.2",
    bytes: head("GET /row HTTP/1.2", "Host: test"),
    stricter: "505 in place of guessing what 1.2 means",
  },
  { name: "HTTP/2.0", bytes: head("GET /row HTTP/2.0", "Host: test") },
  { name: "HTTP/0.9", bytes: "GET /row\r\n\r\n" },
  {
    name: "two spaces in the request line",
    bytes: head("GET  /row HTTP/1.1", "Host: test"),
    stricter: "RFC 9112 §3: a single SP",
  },
];

interface Subject {
  readonly name: string;
  readonly port: number;
  readonly origin: ScriptedOrigin;
  /** Request lines as they reached the server. */
  readonly seen: string[];
}

const FOLLOW_UP = head("GET /follow-up HTTP/1.1", "Host: test", "Connection: close");

/** "served" when the row's request reached the server whole and its answer came back; else "refused", with the status. */
async function judge(subject: Subject, row: Row): Promise<string> {
  subject.seen.length = 0;
  const client = await connectWire(subject.port);
  await client.write(row.bytes + FOLLOW_UP).catch(() => undefined);
  await withTimeout(client.ended, 5000, "").catch(() => undefined);
  const hasEnded = client.end !== undefined;
  client.destroy();
  const statuses = [...client.text.matchAll(/HTTP\/1\.[01] (\d{3})/g)].map((match) => match[1]);
  const isServed = subject.seen.some((line) => line.includes("/row")) && statuses[0] === "200";
  const reached =
    subject.seen.length === 0 ? "" : ` [${subject.seen.map((line) => line.split(" ")[1]).join(" ")}]`;
  return isServed ? "served" : `refused ${statuses[0] ?? (hasEnded ? "closed" : "silent")}${reached}`;
}

async function startOrigin(seen: string[]): Promise<ScriptedOrigin> {
  return startScriptedOrigin(async (connection) => {
    for (;;) {
      const request = await readOriginRequest(connection);
      if (request === undefined) return;
      seen.push(request.line);
      await connection.write(response("200 OK", "ok")).catch(() => undefined);
    }
  });
}

async function startSubjects(t: TestContext): Promise<Subject[]> {
  const subjects: Subject[] = [];
  for (const name of ["nginx", "haproxy", "holdfast"] as const) {
    const seen: string[] = [];
    const origin = await startOrigin(seen);
    const port = await freePort();
    const ready = [{ host: "127.0.0.1", port }];
    const server = `127.0.0.1:${origin.port}`;
    const program =
      name === "nginx"
        ? await startNginx({
            ready,
            http: `upstream u { server ${server}; keepalive 4; }
  server { listen 127.0.0.1:${port}; location / { proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_request_buffering off; } }`,
          })
        : name === "haproxy"
          ? await startHaproxy({
              ready,
              sections: `defaults
  mode http
  timeout connect 2s
  timeout client 5s
  timeout server 5s
frontend f
  bind 127.0.0.1:${port}
  default_backend b
backend b
  server s ${server}`,
            })
          : await startHoldfast({
              ready,
              config: `workers: 1
drain_timeout: 100ms
listeners: { web: { bind: "127.0.0.1:${port}", http: { routes: [{ pool: web }] } } }
pools: { web: { servers: ["${server}"] } }`,
            });
    t.after(async () => {
      await program.stop();
      await origin.stop();
    });
    subjects.push({ name, port, origin, seen });
  }
  return subjects;
}

test("what nginx and HAProxy agree on, Holdfast does too, unless it has a reason (RFC 9112)", {
  timeout: 60_000,
}, async (t) => {
  if (!requirePeer(t, "nginx", "haproxy")) return;
  const subjects = await startSubjects(t);
  const problems: string[] = [];
  for (const row of ROWS) {
    const verdicts: string[] = [];
    for (const subject of subjects) verdicts.push(await judge(subject, row));
    const [nginx, haproxy, holdfast] = verdicts.map((verdict) => verdict.split(" ")[0]) as [
      string,
      string,
      string,
    ];
    if (new Set(verdicts.map((verdict) => verdict.split(" ")[0])).size > 1) {
      t.diagnostic(
        `${row.name.padEnd(46)} nginx: ${verdicts[0]} · haproxy: ${verdicts[1]} · holdfast: ${verdicts[2]}`,
      );
    }
    if (row.must !== undefined && holdfast !== row.must)
      problems.push(`${row.name}: ${verdicts[2]}, but it must be ${row.must}`);
    if (nginx === haproxy && holdfast !== nginx && row.stricter === undefined) {
      problems.push(`${row.name}: both peers say ${nginx}, holdfast says ${verdicts[2]}`);
    }
    if (holdfast === "refused" && verdicts[2]!.includes("["))
      problems.push(`${row.name}: refused, yet ${verdicts[2]} reached the server`);
  }
  assert.deepEqual(problems, []);
});
