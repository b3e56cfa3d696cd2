/** The pool on real sockets, without a client: what becomes of an idle connection that has reached its limit. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CounterLayout } from "../observe/counter-layout.ts";
import { Reactor } from "../reactor/reactor.ts";
import { encodeSocketAddress } from "../sys/sockaddr.ts";
import { AF_INET, accept, bind, close, getsockname, listen, streamSocket } from "../sys/socket.ts";
import { gatewayConfig, listenerConfig, poolConfig, serverConfig } from "../testing/gateway-config.ts";
import { turnUntil } from "../testing/loopback-pair.ts";
import { UpstreamState } from "./connection-state.ts";
import type { Exchange } from "./exchange.ts";
import { ProxyServer } from "./proxy-server.ts";
import type { UpstreamConnection } from "./upstream-connection.ts";

/** A pool with one server and one connection to it that has just become idle; the server's end is `far`. */
function idleConnection(learned: { wantsWatch: boolean; watchMs: number }) {
  const listening = streamSocket(AF_INET);
  bind(listening, encodeSocketAddress({ family: "inet", host: "127.0.0.1", port: 0 }));
  listen(listening, 4);
  const address = getsockname(listening);
  const reactor = new Reactor();
  const config = gatewayConfig({
    listeners: [listenerConfig()],
    pools: [poolConfig({ keepaliveTimeoutMs: "auto", servers: [serverConfig({ address })] })],
  });
  const counters = new Float64Array(new CounterLayout(config).slotCount);
  const proxy = new ProxyServer(reactor, config, counters, undefined, () => 0);
  const pool = proxy.pools[0]!;
  const server = pool.servers[0]!;
  const told: string[] = [];
  Object.assign(server.learned, {
    limitMs: () => 20,
    wantsWatch: () => learned.wantsWatch,
    watchMs: () => learned.watchMs,
    handleIdleFin: () => told.push("fin"),
    handleSurvival: () => told.push("survival"),
  });
  let isConnected = false;
  const exchange = {
    upstream: undefined,
    sendRequest() {
      isConnected = true;
    },
  };
  assert.equal(pool.connect(server, exchange as unknown as Exchange), 0);
  turnUntil(reactor, () => isConnected);
  const connection = exchange.upstream as unknown as UpstreamConnection;
  const far = accept(listening);
  close(listening);
  pool.checkIn(connection);
  return { reactor, pool, server, connection, far, told };
}

test("an idle connection that reaches its limit is closed", () => {
  const { reactor, server, connection, far } = idleConnection({ wantsWatch: false, watchMs: 0 });
  turnUntil(reactor, () => connection.state !== UpstreamState.IDLE);
  assert.equal(connection.state, UpstreamState.CLOSED);
  assert.equal(server.watched, undefined);
  close(far);
});

test("a watched connection is given to nobody, and tells when the server closes it", () => {
  const { reactor, pool, server, connection, far, told } = idleConnection({
    wantsWatch: true,
    watchMs: 60_000,
  });
  turnUntil(reactor, () => connection.state === UpstreamState.WATCHED);
  assert.equal(pool.checkOut(server), undefined);
  assert.equal(server.watched, connection);
  close(far);
  turnUntil(reactor, () => connection.state === UpstreamState.CLOSED);
  assert.deepEqual(told, ["fin"]);
  assert.equal(server.watched, undefined);
  assert.equal(server.backend.activeConnections, 0);
});

test("a watched connection that the server keeps open refutes what was learned, and is closed", () => {
  const { reactor, server, connection, far, told } = idleConnection({ wantsWatch: true, watchMs: 60 });
  turnUntil(reactor, () => connection.state === UpstreamState.CLOSED);
  assert.deepEqual(told, ["survival"]);
  assert.equal(server.watched, undefined);
  assert.equal(server.backend.activeConnections, 0);
  close(far);
});
