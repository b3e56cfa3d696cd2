/**
 * A Node program with the ordinary mistakes, for the doctor to find: a free connection of http.globalAgent, setKeepAlive(true)
 * without a delay, an https.Agent's request in flight (a server that never answers), and a plain connection.
 * `node trapped-client-program.js HOST HTTP_PORT QUIET_PORT TLS_PORT`; prints "ready".
 */
import http from "node:http";
import https from "node:https";
import net from "node:net";

const [host = "", httpPort, quietPort, tlsPort] = process.argv.slice(2);

function connected(port: number): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, host, () => resolve(socket)).on("error", reject);
  });
}

await new Promise<void>((resolve, reject) => {
  http
    .get({ host, port: Number(httpPort), path: "/" }, (response) => {
      response.resume().on("end", () => setImmediate(resolve));
    })
    .on("error", reject);
});
(await connected(Number(quietPort))).setKeepAlive(true);
await connected(Number(quietPort));
const secure = https.get({
  host,
  port: Number(tlsPort),
  agent: new https.Agent({ keepAlive: true, keepAliveMsecs: 10_000 }),
});
secure.on("error", () => {});
secure.on("socket", (socket) => socket.on("error", () => {}));
// The handshake never ends, the request stays in flight: the connection is what counts.
await new Promise((resolve) => secure.once("socket", (socket) => socket.once("connect", resolve)));
process.stdout.write("ready\n");
setInterval(() => {}, 60_000);
