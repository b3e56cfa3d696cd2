/**
 * Many connections at once, everything in random pieces: requests of all framings, pipelined, echoed by servers that answer in random
 * pieces, too. The one receive buffer of a worker is shared by all of them, so whatever one leaves in it another would find.
 * Seeded: a failure names its seed.
 */
import assert from "node:assert/strict";
import { SeededRandom } from "../../src/testing/seeded-random.ts";
import { response, type Scene, Stage } from "../harness/stage.ts";
import type { WireConnection } from "../harness/wire.ts";

const stage = new Stage();

const CLIENTS = 24;
const BATCHES = 8;
const SEEDS = [1, 2, 3];

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function writeInPieces(connection: WireConnection, bytes: string, random: SeededRandom): Promise<void> {
  let start = 0;
  while (start < bytes.length) {
    const end = Math.min(bytes.length, start + 1 + random.integer(Math.max(2, Math.ceil(bytes.length / 3))));
    await connection.write(bytes.slice(start, end)).catch(() => undefined);
    start = end;
    for (let turns = random.integer(4); turns > 0; turns--) await turn();
  }
}

function chunked(body: string, random: SeededRandom): string {
  let coded = "";
  for (let start = 0; start < body.length; ) {
    const end = Math.min(body.length, start + 1 + random.integer(300));
    coded += `${(end - start).toString(16)}${random.integer(4) === 0 ? ";x=y" : ""}\r\n${body.slice(start, end)}\r\n`;
    start = end;
  }
  return `${coded}0\r\n${random.integer(3) === 0 ? "T: 1\r\n" : ""}\r\n`;
}

/** A request and the body its answer must have. */
function makeRequest(id: string, random: SeededRandom): { bytes: string; expected: string } {
  const body = id.repeat(random.integer(60));
  const pad = random.integer(3) === 0 ? `X-Pad: ${"p".repeat(random.integer(3000))}\r\n` : "";
  const start = `/${id} HTTP/1.1\r\nHost: test\r\n${pad}`;
  const expected = `/${id}|${body}`;
  switch (random.integer(4)) {
    case 0:
      return { bytes: `GET ${start}\r\n`, expected: `/${id}|` };
    case 1:
      return { bytes: `POST ${start}Transfer-Encoding: chunked\r\n\r\n${chunked(body, random)}`, expected };
    default:
      return { bytes: `PUT ${start}Content-Length: ${body.length}\r\n\r\n${body}`, expected };
  }
}

function answerInPieces(scene: Scene, seed: number): void {
  for (const [index, origin] of scene.origins.entries()) {
    const random = new SeededRandom(seed * 1000 + index);
    origin.answer = async (request, connection) => {
      const body = `${request.line.split(" ")[1]}|${request.body}`;
      const early = random.integer(5) === 0 ? "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" : "";
      const bytes =
        random.integer(2) === 0
          ? response("200 OK", body, `X-Pad: ${"q".repeat(random.integer(2000))}`)
          : `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunked(body, random)}`;
      await writeInPieces(connection, early + bytes, random);
      return "";
    };
  }
}

async function runClient(scene: Scene, name: string, random: SeededRandom): Promise<void> {
  const client = await scene.connect();
  for (let batch = 0; batch < BATCHES; batch++) {
    const requests = Array.from({ length: 1 + random.integer(4) }, (_, n) =>
      makeRequest(`${name}-${batch}-${n}`, random),
    );
    const written = writeInPieces(client, requests.map((request) => request.bytes).join(""), random);
    for (const { expected } of requests) {
      let answer = await client.readResponse();
      while (answer.status === 103) answer = await client.readResponse();
      assert.equal(answer.body.toString(), expected);
    }
    await written;
  }
  assert.equal(client.unread, "");
}

for (const seed of SEEDS) {
  stage.test(
    `no byte of one connection ever shows up on another (seed ${seed})`,
    { servers: [{}, {}, {}] },
    async (scene) => {
      answerInPieces(scene, seed);
      const random = new SeededRandom(seed);
      const clients = Array.from({ length: CLIENTS }, (_, n) =>
        runClient(scene, `c${n}`, new SeededRandom(random.integer(1 << 30))),
      );
      await Promise.all(clients);
      assert.equal(await scene.metric("holdfast_pool_retries_total", { reason: "any" }), 0);
    },
  );
}
