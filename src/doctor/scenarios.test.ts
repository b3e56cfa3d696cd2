import assert from "node:assert/strict";
import test from "node:test";
import { awsNatGateway, box, endPoint, keepalive, path, proxy, tcpEnd } from "./field-cases-fixtures.ts";
import { defaultScenarios, describeScenario, idleDetectionMs, silenceThatTellsAll } from "./scenarios.ts";
import { spokenDuration } from "./spoken-duration.ts";

test("the silence that tells all is longer than every time-out up to RFC 5382's 124 min, an hour where there is none", () => {
  const over = (...seconds: readonly (number | undefined)[]) =>
    path(endPoint("client"), ...seconds.map((it) => box("box", it)), endPoint("server"));
  assert.equal(silenceThatTellsAll(over(350)), 410_000);
  assert.equal(silenceThatTellsAll(over(7440)), 7_500_000);
  assert.equal(silenceThatTellsAll(over(undefined)), 3_600_000);
  assert.equal(silenceThatTellsAll(over(432_000)), 3_600_000, "nobody waits for conntrack's five days");
  assert.equal(silenceThatTellsAll(over(432_000, 90)), 150_000);
});

test("HTTP paths are not tried with a server that speaks first, nor half-closed", () => {
  const kinds = (protocol: "tcp" | "http") =>
    defaultScenarios(path(endPoint("client"), proxy("proxy", protocol), endPoint("server"))).map(
      describeScenario,
    );
  assert.equal(kinds("tcp").length, 8);
  assert.equal(kinds("http").length, 6);
  assert.ok(!kinds("http").some((text) => /server speaks|ended its side/.test(text)));
});

test("the response time is the operator's when named", () => {
  const [, slow] = defaultScenarios(path(endPoint("client"), awsNatGateway(), endPoint("server")), {
    responseTimeMs: 30_000,
  });
  assert.equal(describeScenario(slow!), "the answer takes 30 s");
});

test("idleDetectionMs(): idle + interval × count, or the first tick past TCP_USER_TIMEOUT", () => {
  const detection = (userTimeoutMs: number) =>
    idleDetectionMs(tcpEnd({ keepalive: keepalive(60, 10, 3), userTimeoutMs }));
  assert.equal(idleDetectionMs(tcpEnd()), undefined);
  assert.equal(detection(0), 90_000);
  assert.equal(detection(30_000), 70_000);
  assert.equal(detection(85_000), 90_000);
  assert.equal(detection(200_000), 200_000);
});

test("spokenDuration() keeps seconds as far as people know the boxes by them", () => {
  assert.deepEqual(
    [0, 250, 1500, 90_000, 924_600, 1_200_000, 1_201_000, 3_600_000, 7_875_000, 90_000_000].map(
      spokenDuration,
    ),
    ["0 ms", "250 ms", "1.5 s", "90 s", "924.6 s", "1200 s", "20 min", "1 h", "2 h 11 min", "1 d 1 h"],
  );
});
