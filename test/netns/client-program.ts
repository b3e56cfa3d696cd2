/**
 * A client for the namespace tests: connects, sends one request per line of stdin (`TARGET` for GET, `POST TARGET` for a POST of
 * four bytes), keeps the connection.
 * Usage: node client-program.js ADDRESS PORT. Prints JSON lines: {"event":"connected"},
 * {"event":"response","status":…,"body":…}, {"event":"closed"}.
 */
import net from "node:net";
import readline from "node:readline";

const socket = net.connect({ host: process.argv[2]!, port: Number(process.argv[3]) });
const print = (record: Record<string, unknown>): void => console.log(JSON.stringify(record));
let text = "";

socket.on("connect", () => print({ event: "connected" }));
socket.on("data", (bytes) => {
  text += bytes.toString("latin1");
  for (;;) {
    const headEnd = text.indexOf("\r\n\r\n");
    if (headEnd < 0) return;
    const length = Number(text.slice(0, headEnd).match(/\r\ncontent-length: *(\d+)/i)?.[1] ?? 0);
    if (text.length < headEnd + 4 + length) return;
    print({
      event: "response",
      status: Number(text.slice(9, 12)),
      body: text.slice(headEnd + 4, headEnd + 4 + length),
    });
    text = text.slice(headEnd + 4 + length);
  }
});
socket.on("error", (error: NodeJS.ErrnoException) => print({ event: "error", code: error.code }));
socket.on("close", () => print({ event: "closed" }));

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const [target, body] = line.startsWith("POST ") ? [line.slice(5), "body"] : [line, undefined];
  if (body === undefined) socket.write(`GET ${target} HTTP/1.1\r\nHost: test\r\n\r\n`);
  else socket.write(`POST ${target} HTTP/1.1\r\nHost: test\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
});
