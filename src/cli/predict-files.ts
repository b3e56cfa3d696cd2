/**
 * Files for the readers of configuration files: text and patterns from the disk. Driver. Called by predict.ts.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import type { ConfigFiles } from "../doctor/readers/reading.ts";

/** nginx.conf with a certificate bundle inside is still far below. */
const FILE_BYTES_MAX = 16 * 1024 * 1024;
const MATCHES_MAX = 1000;

export function diskFiles(): ConfigFiles {
  return {
    read(path) {
      try {
        const { size } = statSync(path);
        if (size > FILE_BYTES_MAX) return { ok: false, reason: "is larger than 16 MiB" };
        return { ok: true, text: readFileSync(path, "utf8") };
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        return { ok: false, reason: REASONS[code ?? ""] ?? `cannot be read (${code ?? String(error)})` };
      }
    },
    glob: (pattern) => globFiles(pattern),
  };
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  EACCES: "cannot be read: permission denied",
  EISDIR: "is a directory",
  ENOTDIR: "there is no such file",
};

/** glob(3) as nginx uses it: `*`, `?`, `[…]` within a part of the path; files that begin with a dot only when asked for. */
function globFiles(pattern: string): readonly string[] {
  const [first, ...parts] = pattern.split("/");
  let paths = [first === "" ? "/" : first!];
  // A relative pattern's first part may itself be a pattern.
  if (first !== "") [paths, parts[0]] = [["."], parts.length === 0 ? first! : parts[0]!];
  const rest = first === "" ? parts : [first!, ...pattern.split("/").slice(1)];
  for (const part of rest) paths = paths.flatMap((path) => matchesIn(path, part)).slice(0, MATCHES_MAX);
  return paths.map((path) => (first === "" ? path : path.replace(/^\.\//, ""))).toSorted();
}

function matchesIn(directory: string, part: string): string[] {
  if (part === "") return [directory];
  const join = (name: string): string =>
    directory.endsWith("/") ? directory + name : `${directory}/${name}`;
  if (!/[*?[]/.test(part)) return [join(part)];
  const matcher = patternOf(part);
  try {
    return readdirSync(directory)
      .filter((name) => (part.startsWith(".") || !name.startsWith(".")) && matcher.test(name))
      .map(join);
  } catch {
    return [];
  }
}

function patternOf(part: string): RegExp {
  const source = part
    .replaceAll(/[.+^${}()|\\]/g, "\\$&")
    .replaceAll("*", "[^/]*")
    .replaceAll("?", "[^/]")
    .replaceAll("[!", "[^");
  try {
    return new RegExp(`^${source}$`);
  } catch {
    return /^$/; // an unclosed bracket matches nothing
  }
}
