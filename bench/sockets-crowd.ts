/** Holds so many loopback connections, both ends, every second one with keepalive: the subject of bench/sockets.ts. Ends with its stdin. */
import { encodeSocketAddress } from "../src/sys/sockaddr.ts";
import { AF_INET, accept, bind, connect, getsockname, listen, streamSocket } from "../src/sys/socket.ts";
import { setTcpKeepalive } from "../src/sys/socket-options.ts";

const KEEPALIVE = { enabled: true, idleSeconds: 300, intervalSeconds: 30, probeCount: 5 };

const count = Number(process.argv[2]);
const listening = streamSocket(AF_INET);
bind(listening, encodeSocketAddress({ family: "inet", host: "127.0.0.1", port: 0 }));
listen(listening, 16);
const target = getsockname(listening);
for (let index = 0; index < count; index++) {
  const near = streamSocket(AF_INET);
  // Addresses of their own: as many remote hosts as a server has clients.
  const host = `127.${1 + (process.pid % 200)}.${Math.floor(index / 250) % 250}.${1 + (index % 250)}`;
  bind(near, encodeSocketAddress({ family: "inet", host, port: 0 }));
  connect(near, encodeSocketAddress(target));
  if (accept(listening) < 0)
    throw new Error("a loopback connection is in the queue as soon as connect(2) has returned");
  if (index % 2 === 0) setTcpKeepalive(near, KEEPALIVE);
}
process.stdout.write("ready\n");
process.stdin.on("end", () => process.exit(0)).resume();
