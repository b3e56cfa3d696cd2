/** From a configuration file or text to what the supervisor wants to be given. Called by `run` and `demo`. */
import { formatDiagnostic } from "../config/diagnostics.ts";
import { diffConfig } from "../config/diff.ts";
import type { LoadResult } from "../config/load.ts";
import { readConfigFile, readConfigText } from "../config/resolve.ts";
import type { GatewayConfig } from "../config/types.ts";
import type { LoadedConfig } from "../daemon/supervisor.ts";

export async function loadGatewayFile(file: string): Promise<LoadedConfig> {
  return toLoadedConfig(await readConfigFile(file));
}

export async function loadGatewayText(text: string, file: string): Promise<LoadedConfig> {
  return toLoadedConfig(await readConfigText(text, file));
}

export function describeChange(before: GatewayConfig, after: GatewayConfig): readonly string[] {
  return diffConfig(before, after).summary;
}

function toLoadedConfig(result: LoadResult): LoadedConfig {
  return result.ok
    ? { ok: true, config: result.config, warnings: result.warnings.map(formatDiagnostic) }
    : { ok: false, problems: result.diagnostics.map(formatDiagnostic) };
}
