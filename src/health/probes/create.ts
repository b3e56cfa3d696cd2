/** The probe for each kind of check. Called by checker.ts, once per server and health section. */
import type { HealthCheckConfig } from "../../config/types.ts";
import { encodeOwnProxyHeader } from "../../proxy-protocol/proxy-header.ts";
import type { ExecIdentity } from "../command-run.ts";
import type { Probe, ProbeTarget } from "../probe.ts";
import { ExecProbe } from "./exec.ts";
import { HeartbeatProbe } from "./heartbeat.ts";
import { HttpProbe } from "./http.ts";
import { RedisProbe } from "./redis.ts";
import { SocketProbe } from "./socket-probe.ts";
import { TcpProbe } from "./tcp.ts";

export interface ProbeEnvironment {
  /** Who runs the programs of `exec`; undefined: who the gateway is. */
  readonly execIdentity: ExecIdentity | undefined;
}

/** Undefined: nothing is asked, the application tells (heartbeat-receiver.ts). */
export function createProbe(
  check: HealthCheckConfig,
  target: ProbeTarget,
  environment: ProbeEnvironment,
): Probe | undefined {
  const probe = probeFor(check, target, environment);
  if (probe instanceof SocketProbe && target.sendProxy !== "off")
    probe.opening = encodeOwnProxyHeader(target.sendProxy);
  return probe;
}

function probeFor(
  check: HealthCheckConfig,
  target: ProbeTarget,
  environment: ProbeEnvironment,
): Probe | undefined {
  switch (check.kind) {
    case "tcp":
      return new TcpProbe(target.address, check.send, check.expect);
    case "http":
      return new HttpProbe(target.address, check);
    case "redis":
      return new RedisProbe(target.address, check.user, check.password);
    case "exec":
      return new ExecProbe(target, check.command, environment.execIdentity);
    case "heartbeat":
      return check.mode === "told" ? undefined : new HeartbeatProbe(target.address, check);
  }
}
