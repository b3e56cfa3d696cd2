/** Unit tests of the selection algorithms: golden sequences, shares, what is left out, minimal disruption. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Balance } from "../config/types.ts";
import { seededRandom } from "../testing/seeded-random.ts";
import { Backend } from "./backend.ts";
import { backendsOfWeights, ownersOf, sequenceOf, serverConfig } from "./balance-fixtures.ts";
import { hashBytes } from "./key-hash.ts";
import { hasFullServer } from "./selection.ts";
import { measureSelections } from "./selector.bench.ts";
import { createSelector, type Selector } from "./selector.ts";

const ROUND_ROBIN: Balance = { kind: "round_robin" };
const LEAST_CONN: Balance = { kind: "least_conn" };
const RANDOM: Balance = { kind: "random" };
const HASH: Balance = { kind: "hash", key: "source" };
const SHORTEST_EXPECTED_DELAY: Balance = { kind: "shortest_expected_delay" };
const NEVER_QUEUE: Balance = { kind: "never_queue" };
const ALL: readonly Balance[] = [ROUND_ROBIN, LEAST_CONN, RANDOM, SHORTEST_EXPECTED_DELAY, NEVER_QUEUE, HASH];

const selectorOf = (balance: Balance, backends: readonly Backend[]) =>
  createSelector(balance, backends, seededRandom(1));

test("round_robin gives nginx's smooth sequence a a b a c a a for weights 5/1/1", () => {
  const selector = selectorOf(ROUND_ROBIN, backendsOfWeights([5, 1, 1]));
  assert.equal(sequenceOf(selector, 14), "a a b a c a a a a b a c a a");
});

test("round_robin takes equal servers in turn", () => {
  assert.equal(sequenceOf(selectorOf(ROUND_ROBIN, backendsOfWeights([1, 1, 1])), 7), "a b c a b c a");
});

test("round_robin brings a server that failed back step by step, one unit of weight with each round", () => {
  const backends = backendsOfWeights([8, 8], { maxFails: 8 });
  const selector = selectorOf(ROUND_ROBIN, backends);
  for (let n = 0; n < 7; n++) backends[0]!.handleFailure(0);
  assert.equal(sequenceOf(selector, 10), "b b a b b a b a b a");
});

test("round_robin ramps a recovered server up by slow_start", () => {
  const backends = backendsOfWeights([1, 1], { slowStartMs: 100_000 });
  const selector = selectorOf(ROUND_ROBIN, backends);
  backends[0]!.setUp(false, 0);
  backends[0]!.setUp(true, 0);
  const shareAt = (nowMs: number) => (sequenceOf(selector, 1000, nowMs).match(/a/g) ?? []).length / 1000;
  assert.ok(Math.abs(shareAt(25_000) - 0.2) < 0.02, "a quarter of the weight against a whole one");
  assert.ok(Math.abs(shareAt(100_000) - 0.5) < 0.02);
});

test("least_conn takes the server with the fewest connections in use in proportion to its weight", () => {
  const backends = backendsOfWeights([2, 1]);
  const selector = selectorOf(LEAST_CONN, backends);
  backends[0]!.activeConnections = 3;
  backends[1]!.activeConnections = 2;
  assert.equal(sequenceOf(selector, 2), "a a", "3/2 < 2/1");
  backends[0]!.activeConnections = 5;
  assert.equal(sequenceOf(selector, 2), "b b", "5/2 > 2/1");
});

test("least_conn lets servers that tie take smooth turns by weight", () => {
  assert.equal(sequenceOf(selectorOf(LEAST_CONN, backendsOfWeights([5, 1, 1])), 7), "a a b a c a a");
});

/** Selects `count` times and keeps every connection in use, as long requests do. */
function occupy(selector: Selector, count: number): string {
  let names = "";
  for (let n = 0; n < count; n++) {
    const chosen = selector.select(0, 0, [])!;
    chosen.activeConnections++;
    names += chosen.config.name;
  }
  return names;
}

test("shortest_expected_delay counts the newcomer: a heavy idle server comes before a light one (ip_vs_sed.c)", () => {
  const backends = backendsOfWeights([1, 3]);
  const selector = selectorOf(SHORTEST_EXPECTED_DELAY, backends);
  // Expected delays (active + 1) / weight: a 1, b 1/3, 2/3, then a tie at 1.
  assert.equal(occupy(selector, 2), "bb");
  backends[1]!.activeConnections = 3;
  assert.equal(sequenceOf(selector, 3), "a a a", "4/3 > 1/1");
  backends[0]!.activeConnections = 1;
  assert.equal(sequenceOf(selector, 3), "b b b", "4/3 < 2/1");
});

test("shortest_expected_delay lets servers that tie take smooth turns", () => {
  const selector = selectorOf(SHORTEST_EXPECTED_DELAY, backendsOfWeights([1, 1, 1]));
  assert.equal(sequenceOf(selector, 7), "a b c a b c a");
});

test("never_queue takes an idle server before a faster one that is busy, else the shortest expected delay (ip_vs_nq.c)", () => {
  const backends = backendsOfWeights([1, 5]);
  const selector = selectorOf(NEVER_QUEUE, backends);
  backends[1]!.activeConnections = 1;
  assert.equal(sequenceOf(selector, 2), "a a", "sed would take b: 2/5 < 1/1");
  backends[0]!.activeConnections = 1;
  assert.equal(sequenceOf(selector, 2), "b b", "nobody is idle: 2/5 < 2/1");
});

test("never_queue lets idle servers take smooth turns by weight", () => {
  assert.equal(sequenceOf(selectorOf(NEVER_QUEUE, backendsOfWeights([5, 1, 1])), 7), "a a b a c a a");
});

for (const balance of [LEAST_CONN, SHORTEST_EXPECTED_DELAY, NEVER_QUEUE]) {
  test(`${balance.kind}: long requests are spread over the servers by weight, seeded arrivals and departures`, () => {
    const weights = [4, 2, 1, 1];
    const backends = backendsOfWeights(weights);
    const selector = selectorOf(balance, backends);
    const random = seededRandom(7);
    const inUse: Backend[] = [];
    const connectionTurns = [0, 0, 0, 0];
    for (let n = 0; n < 40_000; n++) {
      const chosen = selector.select(n, 0, [])!;
      chosen.activeConnections++;
      inUse.push(chosen);
      while (inUse.length > 160) {
        const [gone] = inUse.splice(Math.floor(random() * inUse.length), 1);
        gone!.activeConnections--;
      }
      for (const backend of backends) connectionTurns[backend.index]! += backend.activeConnections;
    }
    const all = connectionTurns.reduce((sum, count) => sum + count, 0);
    for (const [index, weight] of weights.entries()) {
      const share = connectionTurns[index]! / all;
      assert.ok(Math.abs(share / (weight / 8) - 1) < 0.05, `${balance.kind}: ${connectionTurns}`);
    }
  });
}

test("random with two choices follows the weights when nothing is in use", () => {
  const backends = backendsOfWeights([3, 2, 1]);
  const sequence = sequenceOf(selectorOf(RANDOM, backends), 60_000);
  const shares = ["a", "b", "c"].map((name) => sequence.split(name).length - 1);
  for (const [n, expected] of [30_000, 20_000, 10_000].entries()) {
    assert.ok(Math.abs(shares[n]! - expected) < 600, `${shares}`);
  }
});

test("random with two choices keeps the load far more even than one choice would", () => {
  const backends = backendsOfWeights(new Array<number>(20).fill(1));
  const selector = selectorOf(RANDOM, backends);
  for (let n = 0; n < 2000; n++) selector.select(0, 0, [])!.activeConnections++;
  const loads = backends.map((backend) => backend.activeConnections);
  assert.ok(Math.max(...loads) - Math.min(...loads) <= 8, `100 each expected, got ${loads}`);
});

for (const balance of ALL) {
  test(`${balance.kind}: select() still finds the one eligible server among a hundred`, () => {
    const backends = backendsOfWeights(new Array<number>(100).fill(1));
    for (const backend of backends) if (backend.index !== 57) backend.setUp(false, 0);
    const selector = selectorOf(balance, backends);
    for (let key = 0; key < 100; key++) {
      assert.equal(selector.select(0, Math.imul(key, 0x9e3779b1) | 0, [])?.index, 57);
    }
    backends[57]!.setUp(false, 0);
    assert.equal(selector.select(0, 0, []), undefined);
  });
}

test("hash sends equal keys to one server and spreads keys within 15 % of the weights", () => {
  const backends = backendsOfWeights([1, 1, 1, 1, 1, 1, 1, 1, 2, 2]);
  const selector = selectorOf(HASH, backends);
  const counts = new Array<number>(10).fill(0);
  for (const owner of ownersOf(selector, 120_000)) counts[owner!.index]!++;
  for (const [n, count] of counts.entries()) {
    const expected = n < 8 ? 10_000 : 20_000;
    assert.ok(Math.abs(count / expected - 1) < 0.15, `${counts}`);
  }
  assert.deepEqual(ownersOf(selector, 1000), ownersOf(selector, 1000));
});

test("hash depends on the names of the servers, not on their order in the file", () => {
  const named = (names: readonly string[]) => names.map((name, n) => new Backend(n, serverConfig(name)));
  const forward = ownersOf(selectorOf(HASH, named(["a", "b", "c"])), 5000);
  const backward = ownersOf(selectorOf(HASH, named(["c", "b", "a"])), 5000);
  assert.deepEqual(
    forward.map((owner) => owner!.config.name),
    backward.map((owner) => owner!.config.name),
  );
});

test("hash moves only the removed server's keys, about 1/n of all, and spreads them over all others", () => {
  const all = backendsOfWeights([1, 1, 1, 1, 1]);
  const before = ownersOf(selectorOf(HASH, all), 50_000);
  const after = ownersOf(
    selectorOf(
      HASH,
      all.filter((backend) => backend.index !== 2),
    ),
    50_000,
  );
  const heirs = new Map<number, number>();
  let moved = 0;
  for (const [key, owner] of before.entries()) {
    if (owner === after[key]) continue;
    assert.equal(owner!.index, 2, "no other server's key moves");
    moved++;
    heirs.set(after[key]!.index, (heirs.get(after[key]!.index) ?? 0) + 1);
  }
  assert.ok(Math.abs(moved / 50_000 - 0.2) < 0.03, `${moved}`);
  assert.equal(heirs.size, 4);
  for (const count of heirs.values()) assert.ok(count > 0.15 * moved, `${[...heirs]}`);
});

test("hash treats an unavailable server like a removed one, and its keys come back with it", () => {
  const all = backendsOfWeights([1, 1, 1, 1, 1]);
  const selector = selectorOf(HASH, all);
  const before = ownersOf(selector, 10_000);
  all[2]!.setUp(false, 0);
  const without = ownersOf(
    selectorOf(
      HASH,
      all.filter((backend) => backend.index !== 2),
    ),
    10_000,
  );
  assert.deepEqual(ownersOf(selector, 10_000), without);
  all[2]!.setUp(true, 0);
  assert.deepEqual(ownersOf(selector, 10_000), before);
});

test("hash keeps its proportions when the weights are too large for the ring", () => {
  const counts = [0, 0, 0];
  for (const owner of ownersOf(selectorOf(HASH, backendsOfWeights([100, 200, 1000])), 130_000))
    counts[owner!.index]!++;
  assert.ok(Math.abs(counts[0]! / 10_000 - 1) < 0.1 && Math.abs(counts[2]! / 100_000 - 1) < 0.1, `${counts}`);
});

test("hash lets a server that is listed twice own two shares", () => {
  const backends = ["a", "a", "b"].map((name, n) => new Backend(n, serverConfig(name)));
  const counts = [0, 0, 0];
  for (const owner of ownersOf(selectorOf(HASH, backends), 30_000)) counts[owner!.index]!++;
  for (const count of counts) assert.ok(Math.abs(count / 10_000 - 1) < 0.15, `${counts}`);
});

test("hash spreads real keys: 1,000 URIs over 4 servers", () => {
  const backends = backendsOfWeights([1, 1, 1, 1]);
  const selector = selectorOf(HASH, backends);
  const counts = [0, 0, 0, 0];
  for (let n = 0; n < 1000; n++) {
    const bytes = new TextEncoder().encode(`/items/${n}?page=1`);
    counts[selector.select(0, hashBytes(bytes, 0, bytes.length), [])!.index]!++;
  }
  for (const count of counts) assert.ok(count > 180 && count < 320, `${counts}`);
});

for (const balance of ALL) {
  test(`${balance.kind}: select() leaves out servers that are tried, full, down or passed over`, () => {
    const backends = backendsOfWeights([1, 1, 1, 1, 1], { maxConns: 1 });
    const [tried, full, down, failed, good] = backends as [Backend, Backend, Backend, Backend, Backend];
    full.activeConnections = 1;
    down.setUp(false, 0);
    failed.handleFailure(0);
    const selector = selectorOf(balance, backends);
    for (let key = 0; key < 100; key++) {
      assert.equal(selector.select(1, Math.imul(key, 0x9e3779b1) | 0, [tried]), good);
    }
    assert.equal(selector.select(1, 0, [tried, good]), undefined);
  });

  test(`${balance.kind}: select() uses backups only when no other server is left`, () => {
    const primaries = backendsOfWeights([1, 1]);
    const backup = new Backend(2, serverConfig("backup", { backup: true, maxFails: 0 }));
    const selector = selectorOf(balance, [...primaries, backup]);
    for (let key = 0; key < 50; key++) assert.notEqual(selector.select(0, key << 24, []), backup);
    primaries[0]!.handleFailure(0);
    assert.equal(selector.select(0, 7, [primaries[1]!]), backup, "one has failed, one was tried");
    primaries[1]!.handleFailure(0);
    assert.equal(selector.select(0, 7, []), backup);
    assert.notEqual(selector.select(10_001, 7, []), backup, "the primaries are back after fail_timeout");
  });

  test(`${balance.kind}: select() never passes over the only server of a pool, but keeps to max_conns and isUp`, () => {
    const [only] = backendsOfWeights([1], { maxConns: 1 }) as [Backend];
    const selector = selectorOf(balance, [only]);
    for (let n = 0; n < 5; n++) only.handleFailure(n);
    assert.equal(selector.select(5, 0, []), only);
    assert.equal(selector.select(5, 0, [only]), undefined);
    only.activeConnections = 1;
    assert.equal(selector.select(5, 0, []), undefined);
    only.activeConnections = 0;
    only.setUp(false, 6);
    assert.equal(selector.select(6, 0, []), undefined);
  });

  test(`${balance.kind}: select() lets one request at a time try a server whose fail_timeout has passed`, () => {
    const backends = backendsOfWeights([1, 1]);
    const selector = selectorOf(balance, backends);
    backends[0]!.handleFailure(0);
    let trials = 0;
    for (let key = 0; key < 200; key++) {
      if (selector.select(10_001 + (key % 100), Math.imul(key, 0x9e3779b1) | 0, []) === backends[0]) trials++;
    }
    assert.equal(trials, 1);
  });
}

test("hasFullServer() tells full from down, passed over and tried: only a full server is worth waiting for", () => {
  const full = () => {
    const backends = backendsOfWeights([1, 1], { maxConns: 1 });
    for (const backend of backends) backend.activeConnections = 1;
    return backends as [Backend, Backend];
  };
  assert.equal(hasFullServer(full(), 0, []), true);
  assert.equal(hasFullServer(backendsOfWeights([1, 1], { maxConns: 1 }), 0, []), false, "there is room");
  const [a, b] = full();
  a.setUp(false, 0);
  assert.equal(hasFullServer([a, b], 0, []), true, "the other one is merely full");
  assert.equal(hasFullServer([a, b], 0, [b]), false, "but has been tried");
  b.handleFailure(0);
  assert.equal(hasFullServer([a, b], 1, []), false, "one down, one passed over");
  assert.equal(hasFullServer([b], 1, []), true, "the only server is never passed over");
});

test("measureSelections() still runs", () => {
  let ticks = 0n;
  assert.equal(measureSelections(100, () => ticks++).length, 18);
});
