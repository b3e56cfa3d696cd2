/**
 * A worker for tests of the supervisor: speaks the mailbox protocol (daemon/messages.ts), accepts on the inherited
 * sockets with node:http and answers 200 with its pid. Not the data plane. Behaviour by environment:
 * HOLDFAST_FAKE_WORKER=crash-at-start | never-ready | hang-on-drain.
 */
import { writeSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { Socket } from "node:net";
import {
  type ConfigureMessage,
  encodeFrame,
  FrameDecoder,
  MAILBOX_FD,
  type SupervisorMessage,
  type WorkerMessage,
} from "../daemon/messages.ts";
import { CounterLayout, ListenerSlot } from "../observe/counter-layout.ts";

const behaviour = process.env.HOLDFAST_FAKE_WORKER ?? "";
const mailbox = new Socket({ fd: MAILBOX_FD });
const decoder = new FrameDecoder();
const servers: Server[] = [];

process.on("SIGINT", () => {});
process.on("SIGTERM", () => {});

mailbox.on("data", (bytes) => {
  decoder.push(bytes);
  for (let message = decoder.next(); message !== undefined; message = decoder.next()) {
    handle(message as SupervisorMessage);
  }
});
mailbox.on("end", () => process.exit(0));

function send(message: WorkerMessage): void {
  mailbox.write(encodeFrame(message));
}

function handle(message: SupervisorMessage): void {
  switch (message.type) {
    case "configure":
      configure(message);
      return;
    case "drain":
      if (behaviour !== "hang-on-drain") {
        drain();
      }
      return;
    case "stop":
      process.exit(0);
      return;
    case "server-states":
      return;
    case "ping":
      send({ type: "pong", id: message.id });
      return;
    case "reopen-logs":
      send({ type: "log", level: "info", event: "fake-reopen", message: "told to open logs again" });
      return;
  }
}

function configure(message: ConfigureMessage): void {
  if (behaviour === "crash-at-start") {
    send({ type: "fatal", message: "told to crash" });
    mailbox.end(() => process.exit(1));
    return;
  }
  const { listeningSockets, config, countersFd } = message;
  const counters = new Float64Array(new CounterLayout(config).slotCount);
  const layout = new CounterLayout(config);
  let listening = 0;
  for (const { fd, listenerIndex } of listeningSockets) {
    const base = layout.listenerBase(listenerIndex);
    const server = createServer((request, response) => {
      counters[base + ListenerSlot.requests]! += 1;
      counters[base + ListenerSlot.active] = 1;
      writeSync(countersFd, new Uint8Array(counters.buffer), 0, counters.byteLength, 0);
      response.end(`${process.pid} ${message.generation} ${request.url}\n`);
    });
    servers.push(server);
    server.listen({ fd }, () => {
      listening++;
      if (listening === listeningSockets.length && behaviour !== "never-ready") {
        send({ type: "ready" });
      }
    });
  }
}

function drain(): void {
  let open = servers.length;
  for (const server of servers) {
    server.close(() => {
      open--;
      if (open === 0) {
        send({ type: "drained" });
        mailbox.end(() => process.exit(0));
      }
    });
    server.closeIdleConnections();
  }
}
