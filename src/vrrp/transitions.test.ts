/** The table is complete, and says nothing that cannot be. */
import assert from "node:assert/strict";
import test from "node:test";
import { ROUTER_STATES, TRANSITION_CAUSES } from "./state.ts";
import { ROUTER_ACTIONS, ROUTER_EVENTS, type RouterEvent, ruleFor, TRANSITIONS } from "./transitions.ts";

const EVENTS = Object.keys(ROUTER_EVENTS) as RouterEvent[];
const pairs = ROUTER_STATES.flatMap((state) =>
  EVENTS.map((event) => ({ state, event, rule: ruleFor(state, event) })),
);

test("every state × event pair has a rule, or a reason why it is ignored", () => {
  assert.equal(pairs.length, ROUTER_STATES.length * EVENTS.length);
  for (const { state, event, rule } of pairs) {
    assert.ok(rule !== undefined, `${state} × ${event}`);
    if ("ignored" in rule) assert.ok(rule.ignored.length > 5, `${state} × ${event}`);
    else assert.ok(ROUTER_STATES.includes(rule.to), `${state} × ${event}`);
  }
  for (const [state, rules] of Object.entries(TRANSITIONS))
    assert.deepEqual(Object.keys(rules).toSorted(), EVENTS.toSorted(), state);
});

test("a rule has a cause exactly when it changes the state", () => {
  for (const { state, event, rule } of pairs) {
    if ("ignored" in rule) continue;
    assert.equal(rule.cause !== undefined, rule.to !== state, `${state} × ${event}`);
    if (rule.cause !== undefined && rule.cause !== "told") assert.ok(rule.cause in TRANSITION_CAUSES);
  }
});

test("addresses are installed exactly on the way to active, and withdrawn exactly on the way from it", () => {
  for (const { state, event, rule } of pairs) {
    if ("ignored" in rule) continue;
    const [entersActive, leavesActive] = [
      state !== "active" && rule.to === "active",
      state === "active" && rule.to !== "active",
    ];
    assert.equal(rule.actions.includes("install-addresses"), entersActive, `${state} × ${event}`);
    assert.equal(rule.actions.includes("withdraw-addresses"), leavesActive, `${state} × ${event}`);
  }
});

test("whoever becomes backup starts a timer; whoever becomes active advertises, then has addresses, then announces them", () => {
  for (const { state, event, rule } of pairs) {
    if ("ignored" in rule || rule.to === state) continue;
    if (rule.to === "backup") assert.ok(rule.actions.includes("await-active-down"), `${state} × ${event}`);
    if (rule.to !== "active") continue;
    const order = ["send-advertisement", "install-addresses", "announce-addresses"] as const;
    assert.deepEqual(
      rule.actions.filter((action) => order.some((it) => it === action)),
      order,
    );
  }
});

test("whoever leaves active by its own will says priority 0 before it withdraws; whoever yields to a better one is silent", () => {
  for (const { state, event, rule } of pairs) {
    if ("ignored" in rule || state !== "active" || rule.to === "active") continue;
    const isOwnWill = ["fault", "shutdown", "demotion"].includes(event);
    const zero = rule.actions.indexOf("send-priority-zero");
    assert.equal(zero !== -1, isOwnWill, event);
    if (isOwnWill) assert.ok(zero < rule.actions.indexOf("withdraw-addresses"), event);
  }
});

test("every action occurs in the table", () => {
  const used = new Set(pairs.flatMap(({ rule }) => ("ignored" in rule ? [] : rule.actions)));
  assert.deepEqual([...used].toSorted(), Object.keys(ROUTER_ACTIONS).toSorted());
});
