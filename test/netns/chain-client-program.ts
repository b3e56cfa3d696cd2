/**
 * A client that never stops: every `INTERVAL` ms one GET over a new connection, whatever became of those before.
 * Usage: node chain-client-program.js ADDRESS PORT INTERVAL. Prints a JSON line per request when it ended, and one when it runs.
 */
import http from "node:http";

const TIMEOUT_MS = 1000;

export interface ChainRequest {
  /** Unix milliseconds with fractions. */
  readonly startedAtMs: number;
  readonly tookMs: number;
  /** 200 is a success; undefined: no answer. */
  readonly status: number | undefined;
  readonly error: string | undefined;
  /** What the server said: who it is. */
  readonly body: string;
}

function unixMs(): number {
  return performance.timeOrigin + performance.now();
}

function ask(host: string, port: number): void {
  const startedAtMs = unixMs();
  let isTold = false;
  const tell = (status: number | undefined, error: string | undefined, body: string): void => {
    if (isTold) return;
    isTold = true;
    const record: ChainRequest = { startedAtMs, tookMs: unixMs() - startedAtMs, status, error, body };
    console.log(JSON.stringify(record));
  };
  const request = http.get({ host, port, path: "/", agent: false }, (response) => {
    let body = "";
    response.setEncoding("utf8");
    response.on("data", (text: string) => {
      body += text;
    });
    response.on("end", () => tell(response.statusCode, undefined, body.trim()));
    response.on("error", (error) => tell(undefined, error.message, body));
  });
  request.on("error", (error: NodeJS.ErrnoException) => tell(undefined, error.code ?? error.message, ""));
  // Of the whole request, connecting included.
  const timer = setTimeout(() => request.destroy(new Error("timeout")), TIMEOUT_MS);
  request.on("close", () => clearTimeout(timer));
}

const [host, port, intervalMs] = process.argv.slice(2);
console.log("running");
setInterval(() => ask(host!, Number(port)), Number(intervalMs));
