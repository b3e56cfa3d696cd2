/**
 * The other end of probe-victim-program.ts: accepts on a port, echoes, keeps everything open. Usage: node probe-peer-program.js PORT.
 * Line of stdin `crash HOST`: every connection whose local address is HOST vanishes as if this host had lost power (TCP_REPAIR and
 * close: nothing is sent). Prints {"event":"listening"}, {"event":"crashed","count":…}.
 */
import net from "node:net";
import readline from "node:readline";
import { setRepairMode } from "../../src/sys/socket-options.ts";
import { descriptorOf } from "../../src/tcp/socket-fd.ts";

const connections = new Set<net.Socket>();
const server = net.createServer({ allowHalfOpen: true }, (socket) => {
  connections.add(socket);
  socket.on("error", () => {});
  socket.on("close", () => connections.delete(socket));
  socket.on("data", (bytes) => socket.write(bytes));
});
server.listen(Number(process.argv[2]), () => console.log(JSON.stringify({ event: "listening" })));

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const host = line.split(" ")[1] ?? "";
  let count = 0;
  for (const socket of connections) {
    if (socket.localAddress?.replace("::ffff:", "") !== host || !setRepairMode(descriptorOf(socket)!))
      continue;
    socket.destroy();
    count++;
  }
  console.log(JSON.stringify({ event: "crashed", count }));
});
