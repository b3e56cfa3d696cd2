/** For tests of the loader: a machine, and a file's outcome as it is printed. */
import assert from "node:assert/strict";
import { formatDiagnostic } from "./diagnostics.ts";
import type { HostFacts } from "./lint.ts";
import { loadConfig } from "./load.ts";
import type { GatewayConfig } from "./types.ts";

const HOST: HostFacts = {
  processors: 2,
  isRoot: true,
  tcpKeepaliveDefaults: { idleSeconds: 7200, intervalSeconds: 75, probeCount: 9 },
};

/** The configuration of a text without errors, and its warnings. */
export function loaded(text: string): { config: GatewayConfig; warnings: string[] } {
  const result = loadConfig(text, "f", HOST);
  assert.ok(result.ok, result.ok ? "" : result.diagnostics.map(formatDiagnostic).join("\n"));
  return { config: result.config, warnings: result.warnings.map(formatDiagnostic) };
}

/** Every diagnostic of a text with errors. */
export function refusals(text: string): string[] {
  const result = loadConfig(text, "f", HOST);
  assert.equal(result.ok, false, "the file was accepted");
  return result.ok ? [] : result.diagnostics.map(formatDiagnostic);
}
