/** IdlePool against a model (a plain array, oldest first) under random operations, and the two cases worth reading. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type IdleConnection, IdlePool } from "./idle-pool.ts";

class Connection implements IdleConnection {
  idleBackendIndex = -1;
  idleSequence = -1;
  readonly name: number;

  constructor(name: number) {
    this.name = name;
  }
}

const BACKENDS = 3;

interface Model {
  readonly capacity: number;
  /** Oldest first. */
  idle: { readonly connection: Connection; readonly backend: number }[];
  created: Connection[];
}

function assertSame(model: Model, pool: IdlePool<Connection>): void {
  assert.equal(pool.size, model.idle.length);
  assert.equal(pool.oldest()?.name, model.idle[0]?.connection.name);
  for (let backend = 0; backend < BACKENDS; backend++) {
    const mine = model.idle.filter((entry) => entry.backend === backend);
    assert.equal(pool.sizeOf(backend), mine.length);
    assert.equal(pool.oldestOf(backend)?.name, mine[0]?.connection.name);
  }
  const idle = new Set(model.idle.map((entry) => entry.connection));
  for (const connection of model.created) {
    if (idle.has(connection)) continue;
    assert.equal(connection.idleBackendIndex, -1);
  }
}

type Operation = readonly [kind: "checkIn" | "checkOut" | "remove" | "recycle", value: number];

function apply(model: Model, pool: IdlePool<Connection>, [kind, value]: Operation): void {
  const backend = value % BACKENDS;
  if (kind === "checkOut") {
    const expected = model.idle.findLast((entry) => entry.backend === backend);
    assert.equal(pool.checkOut(backend), expected?.connection);
    model.idle = model.idle.filter((entry) => entry !== expected);
  } else if (kind === "remove") {
    if (model.created.length === 0) return;
    const connection = model.created[value % model.created.length]!;
    const wasIdle = model.idle.some((entry) => entry.connection === connection);
    assert.equal(pool.remove(connection), wasIdle);
    model.idle = model.idle.filter((entry) => entry.connection !== connection);
  } else {
    const free = model.created.find(
      (connection) => !model.idle.some((entry) => entry.connection === connection),
    );
    const connection = kind === "recycle" && free !== undefined ? free : new Connection(model.created.length);
    if (connection !== free) model.created.push(connection);
    let evicted: Connection | undefined;
    if (model.capacity === 0) evicted = connection;
    else {
      if (model.idle.length === model.capacity) evicted = model.idle.shift()!.connection;
      model.idle.push({ connection, backend });
    }
    assert.equal(pool.checkIn(connection, backend), evicted);
  }
}

test("IdlePool behaves like a plain list under random operations", () => {
  const operation: fc.Arbitrary<Operation> = fc.tuple(
    fc.constantFrom("checkIn", "checkIn", "recycle", "checkOut", "remove"),
    fc.nat(1000),
  );
  fc.assert(
    fc.property(fc.nat(5), fc.array(operation, { maxLength: 60 }), (capacity, operations) => {
      const model: Model = { capacity, idle: [], created: [] };
      const pool = new IdlePool<Connection>(capacity, BACKENDS);
      for (const each of operations) {
        apply(model, pool, each);
        assertSame(model, pool);
      }
    }),
    { numRuns: 500 },
  );
});

test("checkOut() returns the connection used last, checkIn() evicts the one idle longest of all servers", () => {
  const pool = new IdlePool<Connection>(3, 2);
  const [a, b, c, d] = [0, 1, 2, 3].map((name) => new Connection(name)) as [
    Connection,
    Connection,
    Connection,
    Connection,
  ];
  assert.equal(pool.checkIn(a, 0), undefined);
  assert.equal(pool.checkIn(b, 1), undefined);
  assert.equal(pool.checkIn(c, 1), undefined);
  assert.equal(pool.checkIn(d, 1), a);
  assert.equal(pool.checkOut(1), d);
  assert.equal(pool.checkOut(0), undefined);
});

test("checkIn() refuses a connection that is already in the pool", () => {
  const pool = new IdlePool<Connection>(3, 1);
  const connection = new Connection(0);
  pool.checkIn(connection, 0);
  assert.throws(() => pool.checkIn(connection, 0), /twice/);
});
