/** The generated documents say what the loader does: checked-in files, defaults, examples. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { configJsonSchema } from "./json-schema.ts";
import { loadConfig } from "./load.ts";
import { configReferencePage } from "./reference-page.ts";
import { gatewaySection } from "./schema.ts";
import type { KeyTable } from "./schema-kit.ts";

// From dist/src/config as from src/config the package's root is found by its package.json.
const ROOT = ["../../../", "../../"]
  .map((up) => new URL(up, import.meta.url))
  .find((url) => exists(new URL("package.json", url)))!;
const HOST = {
  processors: 2,
  isRoot: true,
  tcpKeepaliveDefaults: { idleSeconds: 7200, intervalSeconds: 75, probeCount: 9 },
};

function exists(url: URL): boolean {
  try {
    return readFileSync(url).length > 0;
  } catch {
    return false;
  }
}

function read(path: string): string {
  return readFileSync(new URL(path, ROOT), "utf8");
}

test("docs/reference/config.md is what `npm run docs` writes", () => {
  assert.equal(read("docs/reference/config.md"), configReferencePage());
});

test("docs/reference/holdfast.schema.json is what `npm run docs` writes", () => {
  assert.deepEqual(JSON.parse(read("docs/reference/holdfast.schema.json")), configJsonSchema());
});

test("examples load without an error or a warning", () => {
  for (const name of [
    "examples/minimal.yaml",
    "examples/gateway.yaml",
    "examples/tcp.yaml",
    "examples/two-gateways.yaml",
  ]) {
    const result = loadConfig(read(name), name, HOST);
    assert.deepEqual(result.ok ? result.warnings : result.diagnostics, [], name);
  }
});

test("every YAML block of the guides to virtual routers is a whole configuration", () => {
  for (const guide of ["two-gateways-one-address.md", "unicast-and-clouds.md"]) {
    const blocks = [...read(`docs/guide/${guide}`).matchAll(/^```yaml\n([\s\S]*?)^```$/gm)];
    assert.ok(blocks.length >= 2, guide);
    for (const [, text] of blocks) {
      const result = loadConfig(text!, guide, HOST);
      assert.deepEqual(result.ok ? result.warnings : result.diagnostics, [], `${guide}:\n${text}`);
    }
  }
});

/** Every default of a section, written out as a person would who copied the reference. */
function writtenDefaults(keys: KeyTable, required: Record<string, unknown>): Record<string, unknown> {
  const written: Record<string, unknown> = { ...required };
  for (const [name, { defaultValue, kind }] of Object.entries(keys)) {
    if (Object.hasOwn(required, name)) continue;
    if (kind.shape === "section" && defaultValue !== undefined)
      written[name] = writtenDefaults(kind.keys!, {});
    else if (defaultValue !== undefined) written[name] = defaultValue;
  }
  return written;
}

const ROUTER = { interface: "eth0", id: 51, addresses: ["192.0.2.10/24"] };

test("a file that writes out every documented default means the same as one that leaves them out", () => {
  const top = gatewaySection.keys!;
  const listenerKeys = top.listeners!.kind.keys!;
  const httpKeys = listenerKeys.http!.kind.keys!;
  const poolKeys = top.pools!.kind.keys!;
  const serverKeys = poolKeys.servers!.kind.keys!;
  const tcpKeys = listenerKeys.tcp!.kind.keys!;
  const healthKeys = poolKeys.health!.kind.keys!;
  const health = writtenDefaults(healthKeys, { http: writtenDefaults(healthKeys.http!.kind.keys!, {}) });
  const routerKeys = top.virtual_routers!.kind.keys!;
  const trackKeys = routerKeys.track!.kind.keys!;
  const explicit = writtenDefaults(top, {
    listeners: {
      db: writtenDefaults(listenerKeys, { bind: 81, tcp: writtenDefaults(tcpKeys, { pool: "db" }) }),
      web: writtenDefaults(listenerKeys, {
        bind: 80,
        http: writtenDefaults(httpKeys, {
          routes: [writtenDefaults(httpKeys.routes!.kind.keys!, { pool: "app" })],
        }),
      }),
    },
    virtual_routers: {
      edge: writtenDefaults(routerKeys, {
        ...ROUTER,
        track: {
          interfaces: [writtenDefaults(trackKeys.interfaces!.kind.keys!, { interface: "eth1" })],
          pools: { app: writtenDefaults(trackKeys.pools!.kind.keys!, {}) },
          checks: { route: writtenDefaults(trackKeys.checks!.kind.keys!, { exec: "/bin/true" }) },
          gateway: writtenDefaults(trackKeys.gateway!.kind.keys!, {}),
        },
        notify: writtenDefaults(routerKeys.notify!.kind.keys!, { exec: "/bin/true" }),
      }),
    },
    pools: {
      db: { servers: ["10.0.0.1:81"] },
      app: writtenDefaults(poolKeys, {
        health,
        servers: [writtenDefaults(serverKeys, { address: "10.0.0.1:80" })],
      }),
    },
  });
  const implicit = {
    listeners: { db: { bind: 81, tcp: "db" }, web: { bind: 80, http: { routes: [{ pool: "app" }] } } },
    pools: { db: { servers: ["10.0.0.1:81"] }, app: { health: "http", servers: ["10.0.0.1:80"] } },
  };
  const track = { interfaces: ["eth1"], pools: { app: null }, checks: { route: "/bin/true" } };
  const edge = { ...ROUTER, track, notify: "/bin/true" };
  Object.assign(implicit, { virtual_routers: { edge } });
  const written = loadConfig(JSON.stringify(explicit), "f", HOST);
  const left = loadConfig(JSON.stringify(implicit), "f", HOST);
  assert.ok(written.ok && left.ok, JSON.stringify(written));
  assert.deepEqual(written.config, left.config);
});

test("defaults that follow from other keys are documented as the loader computes them", () => {
  const keys = gatewaySection.keys!.pools!.kind.keys!.health!.kind.keys!;
  const texts = Object.entries(keys).flatMap(([name, { defaultText }]) =>
    defaultText === undefined ? [] : [`${name}: ${defaultText}`],
  );
  // health-section.test.ts holds the loader to the same numbers.
  assert.deepEqual(texts, [
    "fast_interval: half of interval, not below `200ms`",
    "timeout: `1s`, at most half of interval",
    "fall: `3`; with `heartbeat: told` always `1`: its deadline is patience enough",
  ]);
});

test("every key has a meaning, a type and a JSON Schema of its own", () => {
  const visit = (keys: KeyTable) => {
    for (const [name, { meaning, kind }] of Object.entries(keys)) {
      assert.match(meaning, /\.$/, `${name}: a meaning is a sentence`);
      assert.ok(Object.keys(kind.jsonSchema).length > 0, name);
      if (kind.keys !== undefined) visit(kind.keys);
    }
  };
  visit(gatewaySection.keys!);
});

test("configJsonSchema() is strict about keys and names what is required", () => {
  const schema = JSON.parse(JSON.stringify(configJsonSchema()));
  assert.deepEqual(schema.anyOf, [{ required: ["listeners", "pools"] }, { required: ["virtual_routers"] }]);
  assert.equal(schema.additionalProperties, false);
  const pool = schema.properties.pools.additionalProperties;
  assert.equal(pool.additionalProperties, false);
  assert.deepEqual(pool.required, ["servers"]);
  assert.equal(pool.properties.keepalive.default, 64);
  assert.match("1h30m", new RegExp(pool.properties.read_timeout.pattern));
  assert.doesNotMatch("75x", new RegExp(pool.properties.read_timeout.pattern));
});
