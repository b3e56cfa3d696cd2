/**
 * The PROXY protocol on HTTP listeners (`proxy_protocol: accept`) and pools (`send_proxy`), judged from outside: what the
 * origin is told about the client, what a peer sees that does not keep to the protocol, and that no connection to a server ever
 * carries two clients. The codec has its own tests in src/proxy-protocol/; other programs are in test/interop/.
 */
import assert from "node:assert/strict";
import {
  type DecodedProxyHeader,
  decodeProxyHeader,
  encodeOwnProxyHeader,
  encodeProxyHeader,
  type ProxyVersion,
} from "../../src/proxy-protocol/proxy-header.ts";
import { get, response, type Scene, Stage } from "../harness/stage.ts";
import type { WireConnection } from "../harness/wire.ts";

const stage = new Stage({ accessLog: "json" });
const ACCEPT = { listener: { proxy_protocol: "accept" } };
const CLIENT = { family: "inet", host: "203.0.113.9", port: 4711 } as const;
const CLIENT6 = { family: "inet6", host: "2001:db8::9", port: 4711 } as const;
const FRONT = { family: "inet", host: "198.51.100.1", port: 443 } as const;
const FRONT6 = { family: "inet6", host: "2001:db8::1", port: 443 } as const;
const VERSIONS: readonly ProxyVersion[] = ["v1", "v2"];

function concat(...parts: (string | Uint8Array)[]): Buffer {
  return Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part, "latin1") : part)));
}

function forwardedFor(scene: Scene, index = -1): string | undefined {
  return scene.origin.requests.at(index)?.headers.get("x-forwarded-for");
}

for (const version of VERSIONS) {
  stage.test(
    `proxy_protocol: the header's address is the client's, for every request (${version})`,
    ACCEPT,
    async (scene) => {
      const client = await scene.send(
        concat(encodeProxyHeader(version, CLIENT, FRONT), get("/1"), get("/2")),
      );
      for (let count = 0; count < 2; count++) assert.equal((await client.readResponse()).status, 200);
      assert.equal(forwardedFor(scene, 0), "203.0.113.9");
      assert.equal(forwardedFor(scene, 1), "203.0.113.9");
      const [line] = await scene.logLines(1);
      assert.equal(JSON.parse(line!).client, "203.0.113.9");
    },
  );

  stage.test(`proxy_protocol: an IPv6 client (${version})`, ACCEPT, async (scene) => {
    const client = await scene.send(concat(encodeProxyHeader(version, CLIENT6, FRONT6), get("/")));
    assert.equal((await client.readResponse()).status, 200);
    assert.equal(forwardedFor(scene), "2001:db8::9");
  });

  stage.test(`proxy_protocol: the header may come byte by byte (${version})`, ACCEPT, async (scene) => {
    const client = await scene.connect();
    for (const octet of encodeProxyHeader(version, CLIENT, FRONT)) {
      await client.write(Uint8Array.of(octet));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await client.write(get("/"));
    assert.equal((await client.readResponse()).status, 200);
    assert.equal(forwardedFor(scene), "203.0.113.9");
  });

  stage.test(
    `proxy_protocol: a header that names nobody leaves the peer's address (${version})`,
    ACCEPT,
    async (scene) => {
      const client = await scene.send(concat(encodeOwnProxyHeader(version), get("/")));
      assert.equal((await client.readResponse()).status, 200);
      assert.equal(forwardedFor(scene), "127.0.0.1");
    },
  );
}

stage.test(
  "proxy_protocol: without a header the connection is closed, and nothing is sent",
  ACCEPT,
  async (scene) => {
    const client = await scene.send(get("/"));
    await client.ended;
    assert.equal(client.text, "");
    await scene.closesAre({ "bad-proxy-header": 1 });
    const [line] = await scene.logLines(1);
    assert.equal(JSON.parse(line!).rejection, "no-header");
    assert.equal(scene.origin.requests.length, 0);
  },
);

stage.test(
  "proxy_protocol: a broken header closes the connection in the middle of it",
  ACCEPT,
  async (scene) => {
    const client = await scene.send("PROXY TCP4 203.0.113.999 198.51.100.1 1 2\r\n");
    await client.ended;
    await scene.closesAre({ "bad-proxy-header": 1 });
  },
);

stage.test(
  "proxy_protocol: a header that does not come is waited for during client_header_timeout",
  { ...ACCEPT, http: { client_header_timeout: "150ms" } },
  async (scene) => {
    const silent = await scene.connect();
    const half = await scene.send("PROXY TCP4 203.0.113.9 ");
    await Promise.all([silent.ended, half.ended]);
    await scene.closesAre({ "header-timeout": 2 });
  },
);

stage.test(
  "proxy_protocol: a peer that leaves before its header is complete is counted as one that left",
  ACCEPT,
  async (scene) => {
    const looked = await scene.connect();
    looked.finish();
    const half = await scene.send("PROXY ");
    half.finish();
    await Promise.all([looked.ended, half.ended]);
    await scene.closesAre({ "peer-fin": 1, "peer-fin-in-request": 1 });
  },
);

const FORWARDED_PROTO = get("/", "X-Forwarded-Proto: https");

stage.test(
  "proxy_protocol: trusted_proxies looks at the real peer",
  { ...ACCEPT, http: { trusted_proxies: ["127.0.0.1"] } },
  async (scene) => {
    const client = await scene.send(concat(encodeProxyHeader("v2", CLIENT, FRONT), FORWARDED_PROTO));
    await client.readResponse();
    assert.equal(scene.origin.requests[0]!.headers.get("x-forwarded-proto"), "https");
  },
);

stage.test(
  "proxy_protocol: trusted_proxies is not fooled by an address in the header",
  { ...ACCEPT, http: { trusted_proxies: ["203.0.113.0/24"] } },
  async (scene) => {
    const client = await scene.send(concat(encodeProxyHeader("v2", CLIENT, FRONT), FORWARDED_PROTO));
    await client.readResponse();
    assert.notEqual(scene.origin.requests[0]!.headers.get("x-forwarded-proto"), "https");
  },
);

stage.test(
  "proxy_protocol: hash: source balances by the header's address",
  { ...ACCEPT, pool: { balance: { hash: "source" } }, servers: [{}, {}, {}, {}] },
  async (scene) => {
    for (let host = 1; host <= 24; host++) {
      for (let time = 0; time < 2; time++) {
        const header = encodeProxyHeader("v2", { ...CLIENT, host: `203.0.113.${host}` }, FRONT);
        const client = await scene.send(concat(header, get(`/${host}`)));
        await client.readResponse();
        client.destroy();
      }
    }
    const used = scene.origins.filter((origin) => origin.requests.length > 0);
    assert.ok(used.length >= 3, `only ${used.length} servers were used`);
    for (const { requests } of used) assert.equal(requests.length % 2, 0, "one client, one server");
  },
);

// ── send_proxy ───────────────────────────────────────────────────────────────────────────────────────────────

type Complete = Extract<DecodedProxyHeader, { status: "complete" }>;

/** Reads the header a server was sent; what follows it stays in the connection. */
async function readProxyHeader(connection: WireConnection): Promise<Complete["header"]> {
  let bytes = new Uint8Array(0);
  for (;;) {
    const decoded = decodeProxyHeader(bytes);
    assert.notEqual(decoded.status, "malformed", JSON.stringify(decoded));
    if (decoded.status === "complete") return decoded.header;
    bytes = Uint8Array.from([...bytes, ...(await connection.readBytes(1))]);
  }
}

/** The scene's origins read a header first, then answer one request after another with the client it named. */
function speakProxyProtocol(scene: Scene, seen: Complete["header"][]): void {
  for (const origin of scene.origins) {
    origin.script = async (connection) => {
      const header = await readProxyHeader(connection);
      seen.push(header);
      while (connection.end === undefined) {
        const head = await connection.readHead(5000).catch(() => undefined);
        if (head === undefined) return;
        const { source } = header;
        await connection.write(
          response("200 OK", source === undefined ? "nobody" : `${source.host} ${source.port}`),
        );
      }
    };
  }
}

for (const version of VERSIONS) {
  stage.test(
    `send_proxy: each connection to a server begins with its client's address (${version})`,
    { pool: { send_proxy: version } },
    async (scene) => {
      const seen: Complete["header"][] = [];
      speakProxyProtocol(scene, seen);
      const [one, two] = [await scene.connect(), await scene.connect()];
      for (const client of [one, two, one, two]) {
        await client.write(get("/"));
        assert.equal((await client.readResponse()).body.toString(), `127.0.0.1 ${client.socket.localPort}`);
      }
      assert.equal(seen.length, 4, "no connection is used twice");
      for (const header of seen) {
        assert.equal(header.version, version);
        assert.deepEqual(header.destination, { family: "inet", host: "127.0.0.1", port: scene.port });
      }
      await scene.upstreamClosesAre({ "upstream-carries-client": 4 });
    },
  );

  stage.test(
    `send_proxy: an accepted header's addresses are passed on (${version})`,
    { ...ACCEPT, pool: { send_proxy: version } },
    async (scene) => {
      const seen: Complete["header"][] = [];
      speakProxyProtocol(scene, seen);
      const client = await scene.send(concat(encodeProxyHeader("v2", CLIENT6, FRONT6), get("/")));
      await client.readResponse();
      assert.deepEqual(seen, [{ version, source: CLIENT6, destination: FRONT6 }]);
    },
  );
}

stage.test(
  "send_proxy: a request that goes to a second server takes the header along",
  { pool: { send_proxy: "v1" }, servers: [{}, {}] },
  async (scene) => {
    const seen: Complete["header"][] = [];
    speakProxyProtocol(scene, seen);
    await scene.origin.refuse();
    for (let count = 0; count < 2; count++) {
      const { status, client } = await scene.ask(get("/"));
      assert.equal(status, 200);
      assert.equal(seen.at(-1)!.source!.port, client.socket.localPort);
    }
  },
);
