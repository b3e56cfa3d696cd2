/**
 * Whether the programs of `health: { exec: … }` are there and may be run. A missing one is a warning, not an error: it may come
 * later, and a check that cannot run is a server that is down, with the reason in `holdfast status`. Driver; called by resolve.ts.
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
    config.pools.map(async ({ name, health }): Promise<MissingProgram[]> => {
      if (health?.check.kind !== "exec") return [];
      const program = health.check.command[0]!;
      const problem = await problemOf(program, searchPath);
      return problem === undefined ? [] : [{ path: ["pools", name, "health", "exec"], ...problem }];
    }),
  );
  return found.flat();
}

async function problemOf(
  program: string,
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
      message: `${file} may not be run: every check would fail`,
      hint: `make it executable: chmod +x ${file}`,
    };
  }
  return program.includes("/")
    ? {
        message: `there is no program ${program}: every check would fail`,
        hint: "correct the path, or install it",
      }
    : {
        message: `there is no program "${program}" in PATH: every check would fail`,
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
