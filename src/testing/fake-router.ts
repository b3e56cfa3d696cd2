/**
 * A router process for tests of the supervisor: speaks the mailbox protocol (daemon/router-messages.ts) and touches no network. A router
 * that it is given is backup, then active, unless it is in maintenance. Everything it hears comes back as a log line, event
 * `fake-router-heard`. Behaviour by environment: HOLDFAST_FAKE_ROUTER=fatal-at-start | never-ready | ignores-release.
 */
import { Socket } from "node:net";
import type { VirtualRouterConfig } from "../config/types.ts";
import { encodeFrame, FrameDecoder, MAILBOX_FD } from "../daemon/messages.ts";
import type { RouterFacts, RouterReport, RouterRequest } from "../daemon/router-messages.ts";
import type { RouterState, TransitionCause } from "../vrrp/state.ts";

const behaviour = process.env.HOLDFAST_FAKE_ROUTER ?? "";
const mailbox = new Socket({ fd: MAILBOX_FD });
const decoder = new FrameDecoder();
const states = new Map<string, RouterState>();
let routers: readonly VirtualRouterConfig[] = [];
let maintenance = new Set<string>();
let advertisementsSent = 0;

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => {});

mailbox.on("data", (bytes) => {
  decoder.push(bytes);
  for (let request = decoder.next(); request !== undefined; request = decoder.next())
    handle(request as RouterRequest);
});
mailbox.on("end", () => process.exit(0));

function send(report: RouterReport): void {
  mailbox.write(encodeFrame(report));
}

function exitAfterLastWord(status: number): void {
  mailbox.end(() => process.exit(status));
}

function handle(request: RouterRequest): void {
  send({ type: "log", level: "info", event: "fake-router-heard", message: JSON.stringify(request) });
  switch (request.type) {
    case "configure-routers":
      configure(request);
      return;
    case "router-order":
      if (request.order === "resume") maintenance.delete(request.router);
      else leave(request.router, "operator");
      if (request.order === "maintenance") maintenance.add(request.router);
      report();
      send({ type: "order-done", requestId: request.requestId, ok: true, lines: [`${request.order} done`] });
      return;
    case "release":
      if (behaviour === "ignores-release") return;
      for (const { name } of routers) leave(name, "shutdown");
      send({ type: "released" });
      exitAfterLastWord(0);
      return;
    case "stop":
      process.exit(0);
      return;
    case "tracker-results":
      return;
  }
}

function configure(request: Extract<RouterRequest, { type: "configure-routers" }>): void {
  if (behaviour === "fatal-at-start") {
    send({ type: "fatal", message: "needs CAP_NET_RAW: told to say so" });
    exitAfterLastWord(1);
    return;
  }
  if (behaviour === "never-ready") return;
  routers = request.routers;
  maintenance = new Set(request.maintenance);
  send({ type: "ready", scheduling: { isRealtime: false, isMemoryLocked: false } });
  for (const { name } of routers) {
    if (states.has(name)) continue;
    change(name, "backup", "startup");
    if (!maintenance.has(name)) change(name, "active", "silence");
  }
  report();
}

function leave(router: string, cause: TransitionCause): void {
  if (states.get(router) === "active") change(router, "backup", cause);
}

function change(router: string, to: RouterState, cause: TransitionCause): void {
  const from = states.get(router) ?? "initialize";
  states.set(router, to);
  send({
    type: "transition",
    record: {
      router,
      atUnixMs: Date.now(),
      from,
      to,
      cause,
      detail: "told to",
      priority: 100,
      lastAdvertisement: null,
      loopLagMs: 0.25,
      addressesAfterMs: to === "active" ? 1.5 : null,
      announcedAfterMs: null,
    },
  });
}

function report(): void {
  send({ type: "routers", routers: routers.map(factsOf), loopLagMsMax: 2, unknownIdCount: 7 });
}

function factsOf({ name, priority, addresses }: VirtualRouterConfig): RouterFacts {
  const state = states.get(name) ?? "initialize";
  return {
    name,
    state,
    inStateMs: 10,
    priority,
    isInMaintenance: maintenance.has(name),
    isHandingOver: false,
    faults: [],
    addresses: addresses.map(({ host, prefixLength }) => ({
      address: `${host}/${prefixLength}`,
      isInstalled: state === "active",
    })),
    sourceAddress: "127.0.0.1",
    peer: null,
    trackers: [],
    counters: {
      advertisementsSent: ++advertisementsSent,
      advertisementsReceived: 0,
      advertisementsDiscarded: { "bad-ttl": 1 },
      sendErrors: 0,
      becameActive: 1,
      conflictsSeen: 0,
      duplicateAddressesSeen: 0,
      stallsNoticed: 0,
      addressesRestored: 0,
      announcementsSent: 0,
      leaseRenewals: 0,
    },
  };
}

setInterval(report, 200);
