/** Tests of resolve.ts with a name service of their own. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { formatDiagnostic } from "./diagnostics.ts";
import { type Lookup, readConfigFile, readConfigText } from "./resolve.ts";

const NAMES: Record<string, string[]> = {
  "app.internal": ["10.0.0.2", "10.0.0.1", "10.0.0.2", "fd00::1"],
  "one.internal": ["10.0.0.9"],
  "none.internal": [],
};
const lookups: string[] = [];
const lookup: Lookup = async (host) => {
  lookups.push(host);
  const found = NAMES[host];
  if (found === undefined)
    throw Object.assign(new Error("x"), { code: host.startsWith("slow") ? "EAI_AGAIN" : "ENOTFOUND" });
  return found.map((address) => ({ address, family: address.includes(":") ? 6 : 4 }));
};

function file(servers: string): string {
  return `listeners: { web: { bind: 127.0.0.1:80, http: { routes: [{ pool: app }] } } }\npools:\n  app:\n    servers:\n${servers}`;
}

test("readConfigText() turns a name into one server per address, sorted, with all settings and both names", async () => {
  lookups.length = 0;
  const text = file(
    "      - { address: App.internal:80, weight: 3 }\n      - app.internal:81\n      - 10.0.0.7:80\n      - unix:/a\n",
  );
  const result = await readConfigText(text, "f.yaml", { lookup });
  assert.ok(result.ok);
  const { servers } = result.config.pools[0]!;
  assert.deepEqual(
    servers.map(({ name, weight }) => `${name} ${weight}`),
    [
      "app.internal@10.0.0.1:80 3",
      "app.internal@10.0.0.2:80 3",
      "app.internal@[fd00::1]:80 3",
      "app.internal@10.0.0.1:81 1",
      "app.internal@10.0.0.2:81 1",
      "app.internal@[fd00::1]:81 1",
      "10.0.0.7:80 1",
      "unix:/a 1",
    ],
  );
  assert.deepEqual(servers[2]!.address, { family: "inet6", host: "fd00::1", port: 80 });
  assert.deepEqual(lookups, ["app.internal"], "each name is asked for once");
});

test("readConfigText() reports every name without an address at its server", async () => {
  const text = file(
    "      - one.internal:80\n      - typo.internal:80\n      - { weight: 2, address: none.internal:80 }\n      - slow.internal:80\n",
  );
  const result = await readConfigText(text, "f.yaml", { lookup });
  assert.ok(!result.ok);
  const hint = "correct the name, add it to DNS or /etc/hosts, or write the address";
  assert.deepEqual(result.diagnostics.map(formatDiagnostic), [
    `f.yaml:6:9: error: pools.app.servers[1]: the host name "typo.internal" has no address\n  hint: ${hint}`,
    `f.yaml:7:9: error: pools.app.servers[2]: the host name "none.internal" has no address\n  hint: ${hint}`,
    'f.yaml:8:9: error: pools.app.servers[3]: "slow.internal" could not be resolved (EAI_AGAIN)\n  hint: the name server did not answer: try again, or write the address',
  ]);
});

test("readConfigText() takes localhost for 127.0.0.1, and asks nobody when offline", async () => {
  const local = await readConfigText(file("      - localhost:80\n"), "f.yaml");
  assert.ok(local.ok);
  assert.deepEqual(
    local.config.pools[0]!.servers.map(({ name }) => name),
    ["localhost@127.0.0.1:80"],
  );
  lookups.length = 0;
  const offline = await readConfigText(file("      - typo.internal:80\n"), "f.yaml", {
    lookup,
    isOffline: true,
  });
  assert.ok(offline.ok);
  assert.deepEqual(lookups, []);
});

test("readConfigFile() says why a file cannot be read", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const missing = await readConfigFile(join(directory, "x.yaml"));
  const notFile = await readConfigFile(directory);
  assert.ok(!missing.ok && !notFile.ok);
  assert.deepEqual(
    [missing, notFile].map(({ diagnostics }) => diagnostics.map(formatDiagnostic)),
    [
      [
        `${directory}/x.yaml: error: there is no such file\n  hint: check the path; examples/minimal.yaml is a good start`,
      ],
      [`${directory}: error: is a directory\n  hint: name the file inside it`],
    ],
  );
});
