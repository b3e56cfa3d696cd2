/**
 * One end of a plain TCP connection for the namespace tests; says when it saw what. Listens for one connection, or makes one.
 * Usage: node talker-program.js listen|connect ADDRESS PORT [KEEPIDLE_SECONDS]. With the last argument its socket sends TCP
 * keepalive probes (libuv: then every second).
 * Each line of stdin is sent as it is. Prints JSON lines, all with `atMs` (wall clock): {"event":"listening"}, {"event":"open","local":…},
 * {"event":"data","text":…}, {"event":"end"} for FIN, {"event":"error","code":…}, {"event":"closed"}.
 */
import net from "node:net";
import readline from "node:readline";

const [role, address, port, keepIdleSeconds] = process.argv.slice(2);
const print = (record: Record<string, unknown>): void =>
  console.log(JSON.stringify({ ...record, atMs: performance.timeOrigin + performance.now() }));

function use(socket: net.Socket): void {
  if (keepIdleSeconds !== undefined) socket.setKeepAlive(true, Number(keepIdleSeconds) * 1000);
  socket.setNoDelay(true);
  print({ event: "open", local: `${socket.localAddress}:${socket.localPort}` });
  socket.on("data", (bytes) => print({ event: "data", text: bytes.toString("latin1") }));
  socket.on("end", () => print({ event: "end" }));
  socket.on("error", (error: NodeJS.ErrnoException) => print({ event: "error", code: error.code }));
  socket.on("close", () => print({ event: "closed" }));
  readline.createInterface({ input: process.stdin }).on("line", (line) => socket.write(line));
}

const host = { host: address!, port: Number(port) };
if (role === "listen") {
  const server = net.createServer(use);
  server.listen(host, () => print({ event: "listening" }));
} else {
  const refused = (error: Error): void => {
    console.error(error.message);
    process.exit(1);
  };
  const socket: net.Socket = net.connect(host, () => {
    socket.off("error", refused);
    use(socket);
  });
  socket.once("error", refused);
}
