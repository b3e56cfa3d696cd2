/**
 * Which virtual routers an operator put into maintenance, kept in STATE_DIR/maintenance.json so that a restart (of the gateway, of the host)
 * does not make a router active that somebody is working on. Written beside and renamed, so that a crash leaves the old or the new list,
 * never half of one. Without `state_dir` the list lives as long as the supervisor. Used by router-supervision.ts.
 */
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import path from "node:path";
import type { Logger } from "../observe/log.ts";

const FILE_NAME = "maintenance.json";

export class MaintenanceFile {
  readonly #logger: Logger;
  readonly #routers = new Set<string>();
  #directory: string | undefined;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  get routers(): readonly string[] {
    return [...this.#routers];
  }

  /** False: the list is lost with the supervisor. */
  get isKept(): boolean {
    return this.#directory !== undefined;
  }

  has(router: string): boolean {
    return this.#routers.has(router);
  }

  /** At the start and after a reload that changed `state_dir`: what is kept there is added to what is known. */
  open(directory: string | undefined): void {
    if (directory === this.#directory) return;
    this.#directory = directory;
    if (directory === undefined) return;
    for (const router of this.#read(path.join(directory, FILE_NAME))) this.#routers.add(router);
    if (this.#routers.size > 0) this.#write();
  }

  /** What could not be kept as a sentence for the operator; undefined: it is kept. */
  set(routers: readonly string[], isInMaintenance: boolean): string | undefined {
    for (const router of routers) {
      if (isInMaintenance) this.#routers.add(router);
      else this.#routers.delete(router);
    }
    return this.#write();
  }

  #read(file: string): string[] {
    let text: string;
    try {
      text = readFileSync(file, "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") this.#warnUnreadable(file, error);
      return [];
    }
    try {
      const { routers } = JSON.parse(text) as { routers?: unknown };
      if (Array.isArray(routers)) return routers.filter((name): name is string => typeof name === "string");
      throw new Error('it has no list "routers"');
    } catch (error) {
      this.#warnUnreadable(file, error);
      return [];
    }
  }

  #warnUnreadable(file: string, error: unknown): void {
    const text = `${file} cannot be read, no router is in maintenance because of it: ${(error as Error).message}`;
    this.#logger.log("warn", "maintenance-unreadable", text);
  }

  #write(): string | undefined {
    const directory = this.#directory;
    if (directory === undefined) return "not kept over a restart of the gateway: there is no state_dir";
    const file = path.join(directory, FILE_NAME);
    try {
      mkdirSync(directory, { recursive: true });
      const fd = openSync(`${file}.new`, "w", 0o644);
      try {
        writeSync(fd, `${JSON.stringify({ routers: this.routers })}\n`);
        fsyncSync(fd); // the name must not come before the bytes
      } finally {
        closeSync(fd);
      }
      renameSync(`${file}.new`, file);
      return undefined;
    } catch (error) {
      const text = `not kept over a restart of the gateway: ${(error as Error).message}`;
      this.#logger.log("error", "maintenance-not-kept", text);
      return text;
    }
  }
}
