/**
 * A program whose sockets are probed from outside: opens many connections, each group with TCP options of its own, and then does what
 * it is told. Usage: node probe-victim-program.js GROUPS, GROUPS is JSON: [{ host, port, count }].
 * Lines of stdin: `write HOST` sends one byte on each connection to HOST, `echo HOST` asks for an echo and counts the answers,
 * `finish HOST` half-closes. Prints JSON lines: {"event":"connected"}, {"event":"echoed","host":…,"count":…}, {"event":"errors","codes":{…}}.
 */
import net from "node:net";
import readline from "node:readline";
import { type KeepaliveTiming, setTcpKeepalive } from "../../src/tcp/set-tcp-keepalive.ts";

interface Group {
  readonly host: string;
  readonly port: number;
  readonly count: number;
}

/** What owners have, including the dangerous: Node's one second, a count of one, a user timeout below the idle time. */
const OPTIONS: readonly (readonly [KeepaliveTiming, number])[] = [
  [{ enabled: false }, 0],
  [{ enabled: false }, 500],
  [{ enabled: true, idleSeconds: 7200, intervalSeconds: 1, probeCount: 1 }, 0],
  [{ enabled: true, idleSeconds: 600, intervalSeconds: 2, probeCount: 9 }, 1500],
  [{ enabled: true }, 0],
  [{ enabled: false, idleSeconds: 33, intervalSeconds: 3, probeCount: 2 }, 0],
];

const groups = JSON.parse(process.argv[2]!) as Group[];
const print = (record: Record<string, unknown>): void => console.log(JSON.stringify(record));
const codes: Record<string, number> = {};
const sockets: { readonly host: string; readonly socket: net.Socket; echoes: number }[] = [];

async function open({ host, port }: Group, index: number): Promise<void> {
  const socket = net.connect({ host, port });
  const entry = { host, socket, echoes: 0 };
  sockets.push(entry);
  socket.on("error", (error: NodeJS.ErrnoException) => {
    codes[error.code ?? "unknown"] = (codes[error.code ?? "unknown"] ?? 0) + 1;
  });
  socket.on("data", (bytes) => {
    entry.echoes += bytes.length;
  });
  await new Promise((resolve) => socket.once("connect", resolve));
  const [keepalive, userTimeoutMs] = OPTIONS[index % OPTIONS.length]!;
  setTcpKeepalive(socket, keepalive, { userTimeoutMs });
}

for (const group of groups) {
  for (let index = 0; index < group.count; index++) await open(group, index);
}
print({ event: "connected", count: sockets.length });

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const [order, host] = line.split(" ");
  const chosen = sockets.filter((entry) => entry.host === host);
  if (order === "errors") print({ event: "errors", codes });
  else if (order === "finish") for (const { socket } of chosen) socket.end();
  else if (order === "close") for (const { socket } of chosen) socket.destroy();
  else for (const { socket } of chosen) socket.write("x");
  if (order !== "echo") return;
  const started = Date.now();
  const poll = setInterval(() => {
    const count = chosen.filter(({ echoes }) => echoes > 0).length;
    if (count < chosen.length && Date.now() - started < 5000) return;
    clearInterval(poll);
    print({ event: "echoed", host, count });
  }, 20);
});
