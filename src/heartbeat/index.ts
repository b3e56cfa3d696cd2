/**
 * `holdfast/heartbeat`: tells a Holdfast gateway that this program lives and gets on, as `health: { heartbeat: told }` of its
 * pool asks for. No dependencies; works in any Node program from version 20.11 on.
 *
 *     import { startHeartbeat } from "holdfast/heartbeat";
 *     const heartbeat = startHeartbeat({
 *       url: "http://127.0.0.1:9902", pool: "web", server: "10.0.0.11:80",
 *       intervalMs: 1000, isHealthy: () => pool.query("select 1").then(() => true), progress: () => jobsDone,
 *     });
 */
export {
  type HeartbeatHandle,
  type HeartbeatOptions,
  type HeartbeatStatistics,
  startHeartbeat,
} from "./sender.ts";
