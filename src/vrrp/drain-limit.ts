/**
 * When reading the advertisements of a socket ends although more are waiting: whoever floods the segment must not keep the process from
 * its deadlines. Pure; called by advertisement-socket.ts.
 */

/** After each packet: its number, from 1, when it arrived, and the time. True: enough. */
export type DrainLimit = (count: number, arrivedAtMs: number, nowMs: number) => boolean;

/** Half of the shortest interval, 10 ms. */
const TURN_MS = 5;
/**
 * More than the receive buffer holds (advertisement-socket.ts), so that it only ends what has no stamps: what had arrived before is read
 * whole, or a router would take for silence what it has not looked at.
 */
const PACKETS_MAX = 4096;

/** One turn of the reactor. */
export function turnLimit(beganAtMs: number): DrainLimit {
  return (_count, _arrivedAtMs, nowMs) => nowMs - beganAtMs >= TURN_MS;
}

/** Before a deadline is decided: until a packet that arrived after the decision was due to be made; a flood is not chased. */
export function completeLimit(beganAtMs: number): DrainLimit {
  return (count, arrivedAtMs) => count >= PACKETS_MAX || arrivedAtMs > beganAtMs;
}
