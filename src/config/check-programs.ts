/**
 * Whether the programs of health checks and of virtual routers are there and may be run. A missing one is a warning, not an error: it
 * may come later, and a check that cannot run has failed, with the reason in `holdfast status`. Driver; called by resolve.ts.
 */
import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { delimiter, join } from "node:path";
import type { ConfigPath } from "./diagnostics.ts";
import type { GatewayConfig } from "./types.ts";

export interface MissingProgram {
  readonly path: ConfigPath;
  readonly message: string;
  readonly hint: string;
}

export async function findMissingPrograms(
  config: GatewayConfig,
  searchPath: string = process.env.PATH ?? "",
): Promise<MissingProgram[]> {
  const found = await Promise.all(
    [...wantedPrograms(config)].map(async ({ path, program, consequence }): Promise<MissingProgram[]> => {
      const problem = await problemOf(program, consequence, searchPath);
      return problem === undefined ? [] : [{ path, ...problem }];
    }),
  );
  return found.flat();
}

interface WantedProgram {
  readonly path: ConfigPath;
  readonly program: string;
  /** What happens without it. */
  readonly consequence: string;
}

function* wantedPrograms(config: GatewayConfig): Iterable<WantedProgram> {
  for (const { name, health } of config.pools) {
    if (health?.check.kind !== "exec") continue;
    const program = health.check.command[0]!;
    yield { path: ["pools", name, "health", "exec"], program, consequence: EVERY_CHECK_FAILS };
  }
  for (const { name, track, notify, acceptMode, priority } of config.virtualRouters) {
    const at: ConfigPath = ["virtual_routers", name];
    for (const check of track.checks) {
      const path = [...at, "track", "checks", check.name, "exec"];
      yield { path, program: check.command[0]!, consequence: EVERY_CHECK_FAILS };
    }
    if (notify !== undefined) {
      const consequence = "nobody would be told of transitions";
      yield { path: [...at, "notify", "exec"], program: notify.command[0]!, consequence };
    }
    if (!acceptMode && priority < 255) {
      const consequence = "the gateway needs it for accept_mode: false";
      yield { path: [...at, "accept_mode"], program: "nft", consequence };
    }
  }
}

const EVERY_CHECK_FAILS = "every check would fail";

async function problemOf(
  program: string,
  consequence: string,
  searchPath: string,
): Promise<{ message: string; hint: string } | undefined> {
  const candidates = program.includes("/")
    ? [program]
    : searchPath
        .split(delimiter)
        .filter((folder) => folder.startsWith("/"))
        .map((folder) => join(folder, program));
  const states = await Promise.all(candidates.map(stateOf));
  if (states.includes("runnable")) return undefined;
  const index = states.indexOf("not-runnable");
  if (index >= 0) {
    const file = candidates[index]!;
    return {
      message: `${file} may not be run: ${consequence}`,
      hint: `make it executable: chmod +x ${file}`,
    };
  }
  return program.includes("/")
    ? {
        message: `there is no program ${program}: ${consequence}`,
        hint: "correct the path, or install it",
      }
    : {
        message: `there is no program "${program}" in PATH: ${consequence}`,
        hint: "write its absolute path, or install it",
      };
}

async function stateOf(file: string): Promise<"missing" | "not-runnable" | "runnable"> {
  try {
    if (!(await stat(file)).isFile()) return "not-runnable";
  } catch {
    return "missing";
  }
  // For root access(2) answers yes as soon as any execute bit is set, which is what execve(2) asks for too.
  return access(file, constants.X_OK).then(
    () => "runnable" as const,
    () => "not-runnable" as const,
  );
}
