/** Files in memory for tests of the readers, and the corpus of real-world style configuration files. */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { projectRoot } from "../../../test/harness/paths.ts";
import type { ConfigFiles, ReadResult } from "./reading.ts";

export const corpusDirectory = path.join(projectRoot, "test/corpus/configs");

/** `{ "nginx.conf": "http { … }" }`; patterns match names with `*`. */
export function memoryFiles(texts: Readonly<Record<string, string>>): ConfigFiles {
  return {
    read(name) {
      const text = Object.hasOwn(texts, name) ? texts[name] : undefined;
      return text === undefined ? { ok: false, reason: "there is no such file" } : { ok: true, text };
    },
    glob(pattern) {
      const parts = pattern.split("*");
      return Object.keys(texts).filter((name) => name.startsWith(parts[0]!) && name.endsWith(parts.at(-1)!));
    },
  };
}

/** Every file of the corpus, named by its path in it. */
export function corpusFiles(): { readonly files: ConfigFiles; readonly names: readonly string[] } {
  const texts: Record<string, string> = {};
  for (const entry of readdirSync(corpusDirectory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const full = path.join(entry.parentPath ?? entry.path, entry.name);
    texts[path.relative(corpusDirectory, full)] = readFileSync(full, "utf8");
  }
  return { files: memoryFiles(texts), names: Object.keys(texts) };
}

/** "nginx so_keepalive=60s:10s:6@app:2 …": what was read that is no default; problems as text. */
export function summary(result: ReadResult): string {
  if (!result.ok) return result.diagnostics.map(({ line, message }) => `${line}: ${message}`).join("; ");
  const { entryName, settings } = result.hop;
  const parts = Object.entries(settings)
    .filter(([, { source }]) => /:\d+$/.test(source.text))
    .map(([field, { text, source }]) => `${field}=${text}@${source.text}`);
  return [entryName, ...parts].join(" ");
}
