/** A change counts when it has lasted. */
import assert from "node:assert/strict";
import test from "node:test";
import { Debounce } from "./debounce.ts";

const DELAYS = { downDelayMs: 200, upDelayMs: 1000 };

test("a change counts after its delay, down and up each with its own", () => {
  const link = new Debounce(DELAYS, true);
  assert.equal(link.handleObservation(0, false), false);
  assert.equal(link.nextTimeout(), 200);
  assert.equal(link.handleTime(199), false);
  assert.equal(link.handleTime(200), true);
  assert.equal(link.isUp, false);
  assert.equal(link.nextTimeout(), undefined);
  assert.equal(link.handleObservation(300, true), false);
  assert.equal(link.nextTimeout(), 1300);
  assert.equal(link.handleTime(1300), true);
  assert.equal(link.isUp, true);
});

test("a change that is taken back within its delay never counts", () => {
  const link = new Debounce(DELAYS, true);
  link.handleObservation(0, false);
  link.handleObservation(150, true);
  assert.equal(link.nextTimeout(), undefined);
  assert.equal(link.handleTime(500), false);
  link.handleObservation(600, false);
  assert.equal(link.nextTimeout(), 800);
});

test("the same observation again does not prolong the wait", () => {
  const link = new Debounce(DELAYS, true);
  link.handleObservation(0, false);
  link.handleObservation(150, false);
  assert.equal(link.nextTimeout(), 200);
  assert.equal(link.handleObservation(210, false), true);
});

test("without a delay a change counts at once", () => {
  const link = new Debounce({ downDelayMs: 0, upDelayMs: 0 }, true);
  assert.equal(link.handleObservation(5, false), true);
});

test("a reload measures the change that waits by the new delays", () => {
  const link = new Debounce(DELAYS, true);
  link.handleObservation(0, false);
  assert.equal(link.handleDelays(100, { downDelayMs: 50, upDelayMs: 0 }), true);
  assert.equal(link.isUp, false);
});
