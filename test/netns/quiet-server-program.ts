/** `node quiet-server-program.js HTTP_PORT QUIET_PORT…`: an HTTP server that keeps connections, and ports that never answer. */
import { once } from "node:events";
import http from "node:http";
import net from "node:net";

const [httpPort, ...quietPorts] = process.argv.slice(2).map(Number);
const server = http.createServer((_request, response) => response.end("ok"));
server.keepAliveTimeout = 600_000;
await once(server.listen(httpPort, "0.0.0.0"), "listening");
for (const port of quietPorts) {
  const quiet = net.createServer((socket) => socket.on("error", () => {}));
  await once(quiet.listen(port, "0.0.0.0"), "listening");
}
process.stdout.write("ready\n");
