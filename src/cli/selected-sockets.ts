/** SELECTOR on the command line, for `probe` and `enable`: the sockets it means, or the reason why there are none. Driver. */
import { readFileSync } from "node:fs";
import type { Parsed } from "../config/parsed.ts";
import { findLiveSockets, type LiveSockets } from "../doctor/live-sockets.ts";
import { parseSelector } from "../doctor/selector.ts";
import { EXIT_WRONG_QUESTION, fail } from "./exit-status.ts";

/** undefined: the question was wrong, which has been said. */
export function selectedSockets(words: readonly string[]): LiveSockets | undefined {
  const selector = parseSelector(words);
  if (!selector.ok) {
    fail(EXIT_WRONG_QUESTION, [[selector.reason, selector.hint].filter(Boolean).join("; ")]);
    return undefined;
  }
  const found = findLiveSockets(selector.value);
  if (found.sockets.length > 0) return found;
  const nothing = `no TCP socket of a running process matches ${words.join(" ")}; see what there is: holdfast sockets`;
  const isNamed = selector.value.some((term) => term.kind === "pid" || term.kind === "fd");
  fail(
    EXIT_WRONG_QUESTION,
    isNamed && found.problems.length > 0 ? found.problems : [...found.problems, nothing],
  );
  return undefined;
}

/** The value, or undefined after the reason has been printed and the exit status set. */
export function valueOrFail<T>(option: string, result: Parsed<T>): T | undefined {
  if (result.ok) return result.value;
  fail(EXIT_WRONG_QUESTION, [`${option}: ${[result.reason, result.hint].filter(Boolean).join("; ")}`]);
  return undefined;
}

/** net.ipv4.tcp_retries2 of our network namespace. */
export function readRetries2(): number {
  try {
    return Number(readFileSync("/proc/sys/net/ipv4/tcp_retries2", "latin1")) || 15;
  } catch {
    return 15;
  }
}
