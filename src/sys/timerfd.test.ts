import assert from "node:assert/strict";
import { test } from "node:test";
import { preciseNowMs, realtimeOffsetMs } from "./clock.ts";
import { EPOLLIN, Epoll } from "./epoll.ts";
import { close } from "./socket.ts";
import { timerfdCreate, timerfdRead, timerfdSetDeadline } from "./timerfd.ts";

test("a timerfd is readable from its deadline on, never before it", () => {
  const fd = timerfdCreate();
  const epoll = new Epoll(4);
  epoll.add(fd, EPOLLIN, 1);
  for (const delayMs of [0.3, 1.25, 4.9]) {
    const deadlineMs = preciseNowMs() + delayMs;
    timerfdSetDeadline(fd, deadlineMs);
    assert.equal(epoll.wait(5000), 1);
    assert.ok(preciseNowMs() >= deadlineMs);
    assert.ok(timerfdRead(fd));
    assert.ok(!timerfdRead(fd), "read once");
    assert.equal(epoll.wait(0), 0);
  }
  close(fd);
});

test("a deadline that has passed is due at once, none disarms", () => {
  const fd = timerfdCreate();
  for (const deadlineMs of [-5, 0, 1e-9, preciseNowMs() - 1]) {
    timerfdSetDeadline(fd, deadlineMs);
    assert.ok(timerfdRead(fd), String(deadlineMs));
  }
  timerfdSetDeadline(fd, preciseNowMs() - 1);
  timerfdSetDeadline(fd, undefined);
  assert.ok(!timerfdRead(fd));
  close(fd);
});

test("preciseNowMs() and realtimeOffsetMs() fit Node's clocks", () => {
  assert.ok(Math.abs(preciseNowMs() - Number(process.hrtime.bigint()) / 1e6) < 1000);
  assert.ok(Math.abs(preciseNowMs() + realtimeOffsetMs() - Date.now()) < 1000);
  const first = preciseNowMs();
  let last = first;
  while (last === first) last = preciseNowMs();
  assert.ok(last - first < 50, "counts fractions");
  assert.ok(last > first);
});
