/**
 * One side stalls, the other is stopped: 1 GiB passes through a bounded buffer in both directions, and goes on when the slow side does.
 */
import assert from "node:assert/strict";
import net from "node:net";
import { memoryUsage } from "../harness/process-usage.ts";
import { eventually } from "../harness/program.ts";
import { get, response, type Scene, Stage } from "../harness/stage.ts";

const stage = new Stage();

const SIZE = 1 << 30;
const PIECE = Buffer.alloc(1 << 20, "x");
const GROWTH_BYTES_MAX = 30 << 20;

/** Writes SIZE bytes, as fast as the other side takes them; returns a count of what the kernel took so far. */
function feed(socket: net.Socket): { written: number } {
  const state = { written: 0 };
  const next = (): void => {
    if (state.written >= SIZE || socket.destroyed) return;
    socket.write(PIECE, () => {
      state.written += PIECE.length;
      next();
    });
  };
  next();
  return state;
}

function drain(socket: net.Socket): { received: number } {
  const state = { received: 0 };
  socket.removeAllListeners("data");
  socket.on("data", (bytes: Buffer) => {
    state.received += bytes.length;
  });
  return state;
}

function residentBytes(): number {
  return memoryUsage(stage.gateway.workerPids()[0]!).rssBytes;
}

/** The counter no longer moves: two readings 100 ms apart agree. */
async function comesToRest(read: () => Promise<number>): Promise<number> {
  return eventually("the sender is stopped", 10_000, async () => {
    const before = await read();
    await new Promise((resolve) => setTimeout(resolve, 100));
    return before > 0 && (await read()) === before && before;
  });
}

async function assertBounded(scene: Scene, metric: string, baseBytes: number): Promise<void> {
  const relayed = await comesToRest(() => scene.metric(metric));
  assert.ok(relayed < 64 << 20, `${relayed} bytes were read while the other side stalled`);
  const growth = residentBytes() - baseBytes;
  assert.ok(growth < GROWTH_BYTES_MAX, `the worker grew by ${growth} bytes while stalled`);
}

stage.test(
  "a client that stalls stops the server at a bounded buffer; 1 GiB then passes",
  {},
  async (scene) => {
    await scene.ask(get("/"));
    const baseBytes = residentBytes();
    scene.origin.answer = (_request, connection) => {
      connection.socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${SIZE}\r\n\r\n`);
      feed(connection.socket);
      return "";
    };
    const client = net.connect(scene.port, "127.0.0.1");
    const state = drain(client);
    client.pause();
    client.write(get("/big"));
    await assertBounded(scene, "holdfast_server_received_bytes_total", baseBytes);
    client.resume();
    await eventually("all of it has arrived", 20_000, () => state.received > SIZE);
    assert.ok(residentBytes() - baseBytes < GROWTH_BYTES_MAX, "and the worker has not grown over it");
    client.resetAndDestroy();
  },
);

stage.test(
  "a server that stalls stops the client at a bounded buffer; 1 GiB then passes",
  {},
  async (scene) => {
    await scene.ask(get("/"));
    const baseBytes = residentBytes();
    let resume: () => { received: number } = () => ({ received: 0 });
    scene.origin.script = async (connection) => {
      const state = drain(connection.socket);
      connection.socket.pause();
      resume = () => {
        connection.socket.resume();
        return state;
      };
    };
    // The connection of the first request would be reused, and it has no such script.
    scene.origin.connections[0]!.finish();
    await scene.upstreamClosesAre({ "upstream-fin-idle": 1 });
    const client = net.connect(scene.port, "127.0.0.1");
    client.write(`POST / HTTP/1.1\r\nHost: test\r\nContent-Length: ${SIZE}\r\n\r\n`);
    feed(client);
    await assertBounded(scene, "holdfast_listener_received_bytes_total", baseBytes);
    const state = resume();
    await eventually("all of it has arrived", 20_000, () => state.received > SIZE);
    assert.ok(residentBytes() - baseBytes < GROWTH_BYTES_MAX, "and the worker has not grown over it");
    client.resetAndDestroy();
  },
);

stage.test("a flood of 1xx to a client that stalls stops the server, too", {}, async (scene) => {
  const hints = `HTTP/1.1 103 Early Hints\r\nLink: </${"x".repeat(1000)}>\r\n\r\n`;
  const count = Math.ceil((48 << 20) / hints.length);
  await scene.ask(get("/"));
  const baseBytes = residentBytes();
  scene.origin.answer = () => hints.repeat(count) + response("200 OK", "ok");
  const client = net.connect(scene.port, "127.0.0.1");
  let tail = "";
  client.on("data", (bytes) => {
    tail = (tail + bytes.subarray(-100).toString("latin1")).slice(-100);
  });
  client.pause();
  client.write(get("/"));
  await assertBounded(scene, "holdfast_server_received_bytes_total", baseBytes);
  client.resume();
  await eventually("the final response", 20_000, () => tail.endsWith("\r\n\r\nok"));
  client.resetAndDestroy();
});
