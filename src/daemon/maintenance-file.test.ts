import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { MaintenanceFile } from "./maintenance-file.ts";

const scratch = mkdtempSync(path.join(tmpdir(), "holdfast-maintenance-"));
after(() => rmSync(scratch, { recursive: true }));

function file(directory: string | undefined, events: string[] = []): MaintenanceFile {
  const maintenance = new MaintenanceFile({ log: (_level, event) => void events.push(event) });
  maintenance.open(directory);
  return maintenance;
}

test("maintenance survives a restart when there is a state_dir, which is made", () => {
  const directory = path.join(scratch, "a", "b");
  assert.equal(file(directory).set(["edge"], true), undefined);
  assert.deepEqual(file(directory).routers, ["edge"]);
  assert.deepEqual(readdirSync(directory), ["maintenance.json"], "no half-written file beside it");
  assert.equal(file(directory).set(["edge"], false), undefined);
  assert.deepEqual(file(directory).routers, []);
});

test("without state_dir the answer says that maintenance does not survive a restart", () => {
  const maintenance = file(undefined);
  assert.match(maintenance.set(["edge"], true)!, /not kept over a restart .* no state_dir/);
  assert.equal(maintenance.has("edge"), true);
});

test("a state_dir that comes with a reload gets the list that is in force", () => {
  const maintenance = file(undefined);
  maintenance.set(["edge"], true);
  const directory = path.join(scratch, "later");
  maintenance.open(directory);
  assert.deepEqual(file(directory).routers, ["edge"]);
});

test("an unreadable list is a warning, a directory that cannot be written is said", () => {
  const directory = mkdtempSync(path.join(scratch, "bad-"));
  writeFileSync(path.join(directory, "maintenance.json"), "{");
  const events: string[] = [];
  assert.deepEqual(file(directory, events).routers, []);
  assert.deepEqual(events, ["maintenance-unreadable"]);
  const notDirectory = path.join(scratch, "file");
  writeFileSync(notDirectory, "");
  assert.match(file(notDirectory).set(["edge"], true)!, /not kept over a restart/);
});
