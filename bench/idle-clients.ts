/**
 * Opens N client connections, sends one request on each, reads the answer, then holds them all idle until stdin ends.
 * A program of its own, so that its memory and descriptors are not those of the benchmark.
 * Usage: node idle-clients.js PORT PATH COUNT. Prints `open COUNT` once every answer has arrived.
 */
import net from "node:net";

const port = Number(process.argv[2]);
const path = process.argv[3]!;
const count = Number(process.argv[4]);
const AT_ONCE = 32;

const sockets: net.Socket[] = [];

function openOne(): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ port, host: "127.0.0.1" });
    let text = "";
    socket.on("connect", () => socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`));
    socket.on("data", (bytes) => {
      text += bytes.toString("latin1");
      if (!isComplete(text)) return;
      if (!text.startsWith("HTTP/1.1 200 ")) reject(new Error(`unexpected answer: ${text.slice(0, 60)}`));
      text = "";
      resolve();
    });
    socket.on("error", reject);
    socket.on("close", () => {
      if (!isStopping) reject(new Error("the proxy closed a connection that should stay"));
    });
    sockets.push(socket);
  });
}

function isComplete(text: string): boolean {
  const headEnd = text.indexOf("\r\n\r\n");
  const length = text.match(/\r\ncontent-length: *(\d+)/i);
  return headEnd >= 0 && length !== null && text.length - headEnd - 4 >= Number(length[1]);
}

let isStopping = false;
process.stdin.resume();
process.stdin.on("end", () => {
  isStopping = true;
  for (const socket of sockets) socket.destroy();
});

for (let opened = 0; opened < count; opened += AT_ONCE) {
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, count - opened) }, openOne));
}
console.log(`open ${sockets.length}`);
