/** The machine of a virtual router on virtual time: RFC 9568 §6.4 sentence by sentence, then what Holdfast adds. */
import assert from "node:assert/strict";
import test from "node:test";
import { ACTIVE_DOWN_MS, activeLab, backupLab, RouterLab, SETTINGS, SKEW_MS } from "./machine-fixtures.ts";

const PROMOTED = ["send 100", "install-addresses", "announce-addresses"];

// Initialize, RFC 9568 §6.4.1

test("startup with priority 255: advertises, announces, is active (RFC 9568 §6.4.1)", () => {
  const lab = new RouterLab({ priority: 255 }).at(0).startup().expect("active");
  lab.expectEffects("send 255", "install-addresses", "announce-addresses", "to active (address-owner)");
  assert.equal(lab.router.nextTimeout(), 100);
});

test("startup with a lower priority: backup, patient for its own interval × 3 + skew (RFC 9568 §6.4.1)", () => {
  const lab = new RouterLab().at(0).startup().expect("backup").expectEffects("to backup (startup)");
  assert.equal(lab.router.nextTimeout(), ACTIVE_DOWN_MS);
});

test("before startup nothing is heard and nothing is due", () => {
  const lab = new RouterLab().at(0).hears(200).wake().expect("initialize").expectEffects();
  assert.equal(lab.router.nextTimeout(), undefined);
});

// Backup, RFC 9568 §6.4.2

test("backup: priority 0 shortens the wait to the skew time, from when it arrived (RFC 9568 §6.4.2)", () => {
  const lab = backupLab().at(50).hears(0, { arrivedAtMs: 48 });
  assert.equal(lab.router.nextTimeout(), 48 + SKEW_MS);
  lab.run(48 + SKEW_MS).expect("active");
  assert.equal(lab.transition().cause, "priority-zero");
  assert.match(lab.transition().detail, /^10\.0\.0\.9 said 61 ms ago that it stops \(priority 0\)/);
});

test("backup: a higher or equal priority restarts the timer from its arrival (RFC 9568 §6.4.2)", () => {
  for (const priority of [100, 101, 255]) {
    const lab = backupLab().at(200).hears(priority, { source: "10.0.0.1", arrivedAtMs: 190 });
    assert.equal(lab.router.nextTimeout(), 190 + ACTIVE_DOWN_MS);
    lab.expectEffects();
  }
});

test("backup: version 3 takes over the active router's interval (RFC 9568 §6.4.2), version 2 does not", () => {
  const lab = backupLab().at(10).hears(150, { intervalMs: 1000 });
  assert.equal(lab.router.nextTimeout(), 10 + 3609.375);
  const v2 = backupLab({ version: 2, advertIntervalMs: 1000 }).at(10).hears(150, { intervalMs: 9000 });
  assert.equal(v2.router.nextTimeout(), 10 + 3609.375);
});

test("backup: a lower priority is discarded, the timer runs on, and it preempts (RFC 9568 §6.4.2)", () => {
  const lab = new RouterLab().at(0).startup().forget();
  for (const at of [100, 200, 300]) lab.at(at).hears(50);
  assert.equal(lab.router.nextTimeout(), ACTIVE_DOWN_MS);
  lab.run(ACTIVE_DOWN_MS).expect("active");
  assert.equal(lab.transition().detail, "10.0.0.9 (priority 50) is active with a lower priority than 100");
  lab.expectEffects(...PROMOTED, "to active (preempt)");
});

test("backup: with preempt off a lower priority is obeyed, and silence promotes (RFC 9568 §6.4.2)", () => {
  const lab = new RouterLab({ preempt: false }).at(0).startup().at(300).hears(50);
  assert.equal(lab.router.nextTimeout(), 300 + ACTIVE_DOWN_MS);
  lab.run(700).expect("active");
  assert.equal(lab.transition().cause, "silence");
});

test("backup: the owner preempts whatever preempt says (RFC 9568 §6.1)", () => {
  const lab = new RouterLab({ preempt: false }).at(0).startup();
  const owner = { ...SETTINGS, priority: 255, preempt: false, preemptDelayMs: 10_000 };
  lab.do((router, now) => router.handleSettings(now, owner)).expect("backup");
  for (const at of [100, 200, 300]) lab.at(at).hears(254);
  lab.run(ACTIVE_DOWN_MS).expect("active");
  assert.equal(lab.transition().cause, "preempt");
});

test("backup: a lower priority that stops is followed after the skew time, and the cause is its priority 0", () => {
  const lab = new RouterLab()
    .at(0)
    .startup()
    .at(100)
    .hears(50)
    .at(150)
    .hears(0)
    .run(150 + SKEW_MS)
    .expect("active");
  assert.equal(lab.transition().cause, "priority-zero");
});

test("backup: who said priority 0 is told from who was heard since, which is lower", () => {
  const lab = backupLab().at(50).hears(0).at(80).hears(50, { source: "10.0.0.3" }).run(120).expect("active");
  const { cause, detail, lastAdvertisement } = lab.transition();
  assert.deepEqual([cause, lastAdvertisement?.source], ["priority-zero", "10.0.0.3"]);
  assert.equal(
    detail,
    "10.0.0.9 said 61 ms ago that it stops (priority 0), and only 10.0.0.3 (priority 50) was heard, which is lower, within the skew time of 61 ms",
  );
});

test("backup: a preemption that is forbidden before its time does not happen: settings, priority, handover", () => {
  const forbidden: readonly ((router: RouterLab["router"], nowMs: number) => void)[] = [
    (router, now) => router.handleSettings(now, { ...SETTINGS, preempt: false }),
    (router, now) => router.handleSettings(now, { ...SETTINGS, preemptDelayMs: 60_000 }),
    (router, now) => router.handlePriority(now, 50, "a tracker"),
    (router, now) => router.handleHandover(now),
  ];
  for (const forbid of forbidden) {
    const lab = new RouterLab().at(0).startup().at(300).hears(50).at(310).do(forbid).forget();
    lab.run(395).at(400).hears(50).run(600).expect("backup").expectEffects();
    // Silence promotes as ever.
    lab.run(1000).expect("active");
    assert.equal(lab.transition().cause, "silence");
  }
});

test("backup: silence for the active-down interval promotes: advertisement, addresses, announcement (RFC 9568 §6.4.2)", () => {
  const lab = backupLab()
    .at(ACTIVE_DOWN_MS - 0.001)
    .wake()
    .expect("backup")
    .expectEffects();
  lab
    .at(ACTIVE_DOWN_MS + 1)
    .wake()
    .expect("active");
  const transition = lab.transition();
  assert.deepEqual(transition, {
    from: "backup",
    to: "active",
    cause: "silence",
    detail:
      "no advertisement for 362 ms (3 × 100 ms + skew 61 ms); the last came from 10.0.0.9, priority 150, 362 ms ago",
    atMs: ACTIVE_DOWN_MS + 1,
    priority: 100,
    lastAdvertisement: { source: "10.0.0.9", priority: 150, ageMs: ACTIVE_DOWN_MS + 1 },
    lateMs: 1,
  });
  lab.expectEffects(...PROMOTED, "to active (silence)");
  assert.equal(lab.router.nextTimeout(), ACTIVE_DOWN_MS + 1 + 100);
});

test("backup that never heard anyone says so when it is promoted", () => {
  const lab = new RouterLab().at(0).startup().run(400).expect("active");
  assert.match(lab.transition().detail, /; none was heard since the start$/);
  assert.equal(lab.transition().lastAdvertisement, undefined);
});

test("backup: shutdown stops its timers without a word (RFC 9568 §6.4.2)", () => {
  const lab = backupLab().do((router, now) => router.handleShutdown(now));
  lab.expect("initialize").expectEffects("to initialize (shutdown)");
  assert.equal(lab.router.nextTimeout(), undefined);
});

// Active, RFC 9568 §6.4.3

test("active: advertises every interval; a little lateness does not add up (RFC 9568 §6.4.3)", () => {
  const lab = activeLab().at(103).wake().expectEffects("send 100");
  assert.equal(lab.router.nextTimeout(), 200);
  lab.at(200).wake();
  assert.equal(lab.router.nextTimeout(), 300);
});

test("active: priority 0 of another router is answered at once (RFC 9568 §6.4.3)", () => {
  const lab = activeLab().at(40).hears(0).expect("active").expectEffects("send 100");
  assert.equal(lab.router.nextTimeout(), 140);
});

test("active: a flood of priority 0 is answered once per interval, and does not put off what is due", () => {
  const lab = activeLab().at(40).hears(0).at(41).hears(0).at(139).hears(0).expectEffects("send 100");
  lab.at(140).wake().expectEffects("send 100");
});

test("active: a higher priority wins; its interval is taken over (RFC 9568 §6.4.3)", () => {
  const lab = activeLab().at(40).hears(101, { source: "10.0.0.1", intervalMs: 200 }).expect("backup");
  assert.equal(lab.transition().detail, "10.0.0.1 (priority 101) is active; the priority here is 100");
  lab.expectEffects("withdraw-addresses", "to backup (higher-priority)");
  assert.equal(lab.router.nextTimeout(), 40 + (600 + (156 * 200) / 256));
});

test("active: the same priority from a higher address wins, compared as numbers (RFC 9568 §6.4.3)", () => {
  const lab = activeLab({ sourceAddress: "10.0.0.9" }).at(40).hears(100, { source: "10.0.0.10" });
  lab.expect("backup").expectEffects("withdraw-addresses", "to backup (higher-address)");
});

test("active: a lower priority, or the same from a lower address, is answered at once and announced over (RFC 9568 §6.4.3)", () => {
  activeLab().at(40).hears(99).expect("active");
  const lab = activeLab().at(40).hears(100, { source: "10.0.0.4" }).expect("active");
  lab.expectEffects("conflict 10.0.0.4 100", "send 100", "announce-addresses");
});

test("active: a flood of lower priorities is answered once per interval, and noted each time", () => {
  const lab = activeLab().at(40).hears(50).at(50).hears(50).at(60).hears(50);
  lab.expectEffects(
    "conflict 10.0.0.9 50",
    "send 100",
    "announce-addresses",
    "conflict 10.0.0.9 50",
    "conflict 10.0.0.9 50",
  );
  lab.at(140).wake().forget().at(141).hears(50);
  lab.expectEffects("conflict 10.0.0.9 50", "send 100");
});

test("active: in a conflict the addresses are announced once a second, however short the interval is", () => {
  const lab = activeLab({ advertIntervalMs: 10 });
  for (let at = 1; at < 2500; at += 10) lab.at(at).hears(50);
  const count = (kind: string) => lab.effects.filter((effect) => effect.kind === kind).length;
  assert.deepEqual([count("send-advertisement"), count("announce-addresses")], [250, 3]);
});

test("active: a clone with the same priority and address is noted, and nobody moves", () => {
  const lab = activeLab().at(40).hears(100, { source: "10.0.0.5" }).expect("active");
  lab.expectEffects("conflict 10.0.0.5 100");
});

test("active without an address of its own loses every tie", () => {
  activeLab({ sourceAddress: undefined }).at(40).hears(100, { source: "10.0.0.1" }).expect("backup");
});

test("active: shutdown says priority 0, then withdraws (RFC 9568 §6.4.3)", () => {
  const lab = activeLab()
    .at(40)
    .do((router, now) => router.handleShutdown(now));
  lab.expect("initialize").expectEffects("send 0", "withdraw-addresses", "to initialize (shutdown)");
  assert.equal(lab.router.nextTimeout(), undefined);
});

test("the owner stays active against every lower priority", () => {
  const lab = new RouterLab({ priority: 255 }).at(0).startup().forget();
  lab.at(50).hears(254).expect("active");
  lab.expectEffects("conflict 10.0.0.9 254", "send 255", "announce-addresses");
});

// Preempt delay

test("preempt delay: lower priorities are obeyed until it is over, counted from entering backup", () => {
  const lab = new RouterLab({ preemptDelayMs: 1000 }).at(0).startup();
  for (let at = 100; at <= 900; at += 100) lab.at(at).hears(50).expect("backup");
  assert.equal(lab.router.nextTimeout(), 900 + ACTIVE_DOWN_MS);
  lab.at(1000).hears(50).at(1100).hears(50).at(1200).hears(50);
  lab.run(900 + ACTIVE_DOWN_MS).expect("active");
  assert.equal(lab.transition().cause, "preempt");
});

test("preempt delay does not slow down the answer to silence", () => {
  new RouterLab({ preemptDelayMs: 60_000 }).at(0).startup().at(100).hears(50).run(470).expect("active");
});

test("preempt delay begins anew after a recovery", () => {
  const lab = new RouterLab({ preemptDelayMs: 1000 }).at(0).startup();
  lab.at(2000).do((router, now) => router.handleFault(now, "link", "eth0 is down"));
  lab.at(3000).do((router, now) => router.handleRecovery(now, "link", "eth0 is up"));
  lab.at(3900).hears(50);
  assert.equal(lab.router.nextTimeout(), 3900 + ACTIVE_DOWN_MS);
});

// Stalls

test("backup that wakes late listens once more before it believes the silence, at most twice in a row", () => {
  const lab = backupLab().at(2000).wake().expect("backup").expectEffects("stall listening");
  assert.equal(lab.router.nextTimeout(), 2000 + 100 + SKEW_MS);
  lab.at(4000).wake().expect("backup").expectEffects("stall listening");
  lab.at(6000).wake().expect("active");
  assert.match(
    lab.transition().detail,
    /^no advertisement, also not in 2000 ms of listening after this process woke late;/,
  );
  lab.expectEffects(...PROMOTED, "to active (silence)");
});

test("backup that wakes late and finds the active router alive stays backup", () => {
  const lab = backupLab().at(2000).wake().at(2050).hears(150).run(2300).expect("backup");
  lab.expectEffects("stall listening");
  // Alive again: the next stall may be doubted twice as well.
  lab.at(4000).wake().at(6000).wake().expect("backup");
});

test("backup that wakes late after all, in time the second time, is promoted when the extra wait ends", () => {
  backupLab()
    .at(2000)
    .wake()
    .run(2000 + 100 + SKEW_MS)
    .expect("active");
});

test("backup whose socket held fresh advertisements is not late at all: arrival counts, not handling", () => {
  const lab = backupLab().at(2000).hears(150, { arrivedAtMs: 1950 }).wake().expect("backup").expectEffects();
  assert.equal(lab.router.nextTimeout(), 1950 + ACTIVE_DOWN_MS);
});

test("backup late by less than an advertisement is promoted", () => {
  backupLab()
    .at(ACTIVE_DOWN_MS + 99)
    .wake()
    .expect("active");
});

test("backup that wakes late but just heard a lower priority preempts without listening again", () => {
  const lab = new RouterLab()
    .at(0)
    .startup()
    .forget()
    .at(2000)
    .hears(50, { arrivedAtMs: 1990 })
    .wake()
    .expect("active");
  assert.equal(lab.transition().cause, "preempt");
});

test("active that was frozen and finds another active router steps down, whatever its priority", () => {
  const lab = activeLab().at(2000).hears(50, { arrivedAtMs: 1500 }).expect("backup");
  assert.match(
    lab.transition().detail,
    /frozen: 2000 ms since its last advertisement, and 10\.0\.0\.9 \(priority 50\) became active/,
  );
  lab.expectEffects("stall steps-down", "withdraw-addresses", "to backup (stall)");
});

test("active that was frozen ignores for that what arrived before its last advertisement, and priority 0", () => {
  activeLab().at(2000).hears(50, { arrivedAtMs: -10 }).expect("active");
  activeLab().at(2000).hears(0, { arrivedAtMs: 1500 }).expect("active");
});

test("active that was frozen shorter than anybody waits stays active", () => {
  activeLab().at(300).hears(50, { arrivedAtMs: 200 }).expect("active");
});

test("active that was frozen and hears nobody advertises and announces again", () => {
  const lab = activeLab().at(2000).wake().expect("active");
  lab.expectEffects("stall stays-active", "send 100", "announce-addresses");
  assert.equal(lab.router.nextTimeout(), 2100);
});

test("the owner that was frozen stays active", () => {
  const lab = new RouterLab({ priority: 255 }).at(0).startup().at(2000).hears(50, { arrivedAtMs: 1500 });
  lab.expect("active");
});

// Handover

test("handover: priority 0 first, addresses until a peer advertises, then backup without preempting", () => {
  const lab = activeLab()
    .at(50)
    .do((router, now) => router.handleHandover(now));
  lab.expect("active").expectEffects("send 0");
  assert.equal(lab.router.isHandingOver, true);
  lab.at(60).hears(50).expect("backup");
  assert.equal(
    lab.transition().detail,
    "handover asked for by an operator; 10.0.0.9 (priority 50) took over",
  );
  lab.expectEffects("withdraw-addresses", "handover to 10.0.0.9", "to backup (operator)");
  assert.equal(lab.router.isHandingOver, false);
  for (let at = 160; at < 2000; at += 100) lab.at(at).hears(50).wake().expect("backup");
  lab.expectEffects();
});

test("handover: silence of the new active router promotes again", () => {
  const lab = activeLab()
    .at(50)
    .do((router, now) => router.handleHandover(now))
    .at(60)
    .hears(50);
  lab.run(60 + ACTIVE_DOWN_MS).expect("active");
  assert.equal(lab.transition().cause, "silence");
});

test("handover: whoever was active again since may preempt again", () => {
  const lab = activeLab()
    .do((router, now) => router.handleHandover(now))
    .at(60)
    .hears(50)
    .run(500)
    .expect("active");
  lab.at(510).hears(150).expect("backup");
  for (const at of [600, 700, 800]) lab.at(at).hears(50);
  assert.equal(lab.router.nextTimeout(), 510 + ACTIVE_DOWN_MS);
});

test("handover: resume lets it preempt again", () => {
  const lab = activeLab()
    .at(50)
    .do((router, now) => router.handleHandover(now))
    .at(60)
    .hears(50);
  lab
    .at(160)
    .hears(50)
    .do((router, now) => router.handleResume(now));
  for (const at of [260, 360, 460]) lab.at(at).hears(50);
  lab.run(160 + ACTIVE_DOWN_MS).expect("active");
  assert.equal(lab.transition().cause, "preempt");
});

test("handover: when nobody takes over within 4 intervals + the largest skew, it goes on as active", () => {
  const lab = activeLab()
    .at(0)
    .do((router, now) => router.handleHandover(now))
    .forget();
  assert.equal(lab.router.nextTimeout(), 400 + (255 * 100) / 256);
  lab.at(499).wake().expectEffects();
  lab.at(500).wake().expect("active").expectEffects("handover to nobody", "send 100");
  assert.equal(lab.router.isHandingOver, false);
  lab.at(600).wake().expectEffects("send 100");
});

test("handover: priority 0 of another router takes nothing over, and is not answered", () => {
  const lab = activeLab()
    .at(0)
    .do((router, now) => router.handleHandover(now))
    .forget();
  lab.at(50).hears(0).expect("active").expectEffects();
});

test("handover: resume during it goes on as active at once", () => {
  const lab = activeLab()
    .at(0)
    .do((router, now) => router.handleHandover(now))
    .forget();
  lab
    .at(20)
    .do((router, now) => router.handleResume(now))
    .expectEffects("handover to nobody", "send 100");
});

test("handover: a fault or stop ends it, and says so", () => {
  const lab = activeLab()
    .at(0)
    .do((router, now) => router.handleHandover(now))
    .forget();
  lab
    .at(20)
    .do((router, now) => router.handleFault(now, "operator", "maintenance"))
    .expect("fault");
  lab.expectEffects("handover to nobody", "send 0", "withdraw-addresses", "to fault (operator)");
});

test("handover: asked for twice, the patience counts from the first", () => {
  const lab = activeLab()
    .at(0)
    .do((router, now) => router.handleHandover(now));
  const endsAtMs = lab.router.nextTimeout();
  lab
    .at(50)
    .do((router, now) => router.handleHandover(now))
    .expectEffects("send 0");
  assert.equal(lab.router.nextTimeout(), endsAtMs);
});

test("handover of the owner: it does not come back before resume", () => {
  const lab = new RouterLab({ priority: 255 }).at(0).startup();
  lab
    .do((router, now) => router.handleHandover(now))
    .at(20)
    .hears(100)
    .expect("backup");
  for (let at = 120; at < 1000; at += 100) lab.at(at).hears(100).wake().expect("backup");
});

test("handover ordered on a backup: it does not preempt until resume", () => {
  const lab = backupLab({}, 50)
    .do((router, now) => router.handleHandover(now))
    .expectEffects();
  for (let at = 100; at < 1000; at += 100) lab.at(at).hears(50).wake().expect("backup");
});

// Faults

test("fault of an active router: priority 0, addresses gone, deaf; recovery begins as backup", () => {
  const lab = activeLab()
    .at(20)
    .do((router, now) => router.handleFault(now, "link", "eth0 is down"));
  assert.equal(lab.transition().detail, "eth0 is down");
  lab.expect("fault").expectEffects("send 0", "withdraw-addresses", "to fault (link)");
  assert.equal(lab.router.nextTimeout(), undefined);
  lab.at(30).hears(0).hears(250).expectEffects();
  lab
    .at(500)
    .do((router, now) => router.handleRecovery(now, "link", "eth0 is up"))
    .expect("backup");
  lab.expectEffects("to backup (link)");
  assert.equal(lab.router.nextTimeout(), 500 + ACTIVE_DOWN_MS);
});

test("recovery reckons with the own interval again, not with the one of a router heard before", () => {
  const lab = backupLab().at(10).hears(150, { intervalMs: 1000 });
  lab.do((router, now) => router.handleFault(now, "tracker", "x")).at(20);
  lab.do((router, now) => router.handleRecovery(now, "tracker", "x"));
  assert.equal(lab.router.nextTimeout(), 20 + ACTIVE_DOWN_MS);
});

test("recovery of the owner: active at once, with the fault's cause", () => {
  const lab = new RouterLab({ priority: 255 }).at(0).startup();
  lab.do((router, now) => router.handleFault(now, "link", "down")).forget();
  lab
    .at(10)
    .do((router, now) => router.handleRecovery(now, "link", "up"))
    .expect("active");
  lab.expectEffects("send 255", "install-addresses", "announce-addresses", "to active (link)");
});

// Priority and settings

test("priority: backup reckons its deadline anew, from the same advertisement", () => {
  const lab = backupLab()
    .at(50)
    .do((router, now) => router.handlePriority(now, 200, ""))
    .expectEffects();
  assert.equal(lab.router.nextTimeout(), 321.875);
  assert.equal(lab.router.priority, 200);
});

test("priority: a deadline that moves into the past is due now and not late", () => {
  const lab = backupLab({ priority: 1 })
    .at(380)
    .do((router, now) => router.handlePriority(now, 254, ""));
  assert.equal(lab.router.nextTimeout(), 380);
  lab.wake().expect("active");
  assert.equal(lab.transition().lateMs, 0);
});

test("priority: a process that was frozen is still late when its trackers speak first", () => {
  const lab = backupLab()
    .at(2000)
    .do((router, now) => router.handlePriority(now, 200, ""))
    .wake();
  lab.expect("backup").expectEffects("stall listening");
});

test("priority: an active router stays, and says the new one with its next advertisement", () => {
  const lab = activeLab()
    .at(10)
    .do((router, now) => router.handlePriority(now, 40, ""))
    .expectEffects();
  lab.at(100).wake().expect("active").expectEffects("send 40");
});

test("priority: kept within 1 to 254, and 255 for the owner whatever trackers say (RFC 9568 §5.2.4)", () => {
  const priority = (configured: number, told: number) =>
    new RouterLab({ priority: configured }).do((router, now) => router.handlePriority(now, told, "")).router
      .priority;
  assert.equal(priority(100, -20), 1);
  assert.equal(priority(100, 300), 254);
  assert.equal(priority(255, 10), 255);
});

test("settings never change the state: active, backup, fault, initialize", () => {
  const other = {
    ...SETTINGS,
    priority: 255,
    advertIntervalMs: 1000,
    preempt: false,
    sourceAddress: undefined,
  };
  const labs = [
    new RouterLab(),
    backupLab(),
    activeLab(),
    activeLab().do((router, now) => router.handleFault(now, "link", "")),
  ];
  for (const lab of labs) {
    const { state } = lab.router;
    lab.do((router, now) => router.handleSettings(now, other)).expect(state);
  }
});

test("settings: an active router tells a new interval at once, other settings silently", () => {
  const lab = activeLab().at(10);
  lab.do((router, now) => router.handleSettings(now, { ...SETTINGS, preempt: false })).expectEffects();
  lab.do((router, now) => router.handleSettings(now, { ...SETTINGS, advertIntervalMs: 20 }));
  lab.expectEffects("send 100");
  assert.equal(lab.router.nextTimeout(), 30);
});

test("settings: a backup that has taken over an interval keeps it; one that heard nobody uses the new one", () => {
  const slower = { ...SETTINGS, advertIntervalMs: 1000 };
  const obeying = backupLab().do((router, now) => router.handleSettings(now, slower));
  assert.equal(obeying.router.nextTimeout(), ACTIVE_DOWN_MS);
  const alone = new RouterLab()
    .at(0)
    .startup()
    .do((router, now) => router.handleSettings(now, slower));
  assert.equal(alone.router.nextTimeout(), 3609.375);
});

// Sync group

test("promotion by the group: active at once; demotion: priority 0, and held until released or promoted", () => {
  const lab = backupLab()
    .at(10)
    .do((router, now) => router.handlePromotion(now, "a became active"));
  lab.expectEffects(...PROMOTED, "to active (sync-group)");
  lab.at(20).do((router, now) => router.handleDemotion(now, "a stepped down"));
  lab.expectEffects("send 0", "withdraw-addresses", "to backup (sync-group)");
  lab.run(5000).expect("backup").expectEffects();
  lab
    .do((router, now) => router.handleRelease(now))
    .run(6000)
    .expect("active");
});

test("demotion during a handover waits for its end: the peer takes over first", () => {
  const lab = activeLab()
    .at(0)
    .do((router, now) => router.handleHandover(now))
    .forget();
  lab
    .at(5)
    .do((router, now) => router.handleDemotion(now, "x"))
    .expect("active")
    .expectEffects();
  lab.run(600).expect("backup");
  lab.expectEffects(
    "handover to nobody",
    "send 100",
    "send 0",
    "withdraw-addresses",
    "to backup (sync-group)",
  );
});

test("isOutranked(): a winning router was heard, and its advertisement is not overdue", () => {
  const lab = backupLab();
  assert.equal(lab.router.isOutranked(150), true);
  assert.equal(lab.router.isOutranked(250), false);
  assert.equal(backupLab({ preempt: false }, 50).router.isOutranked(50), false);
  assert.equal(activeLab().router.isOutranked(0), false);
  assert.equal(backupLab().at(10).hears(0).router.isOutranked(20), false);
});
