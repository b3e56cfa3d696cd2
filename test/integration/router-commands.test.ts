/**
 * `holdfast routers`, `holdfast router`, and the plan that `holdfast check` prints: the real command line against an admin API that
 * answers as told. Against real gateways they are used in test/netns/.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import test from "node:test";
import type { RoutersDocument } from "../../src/observe/router-status.ts";
import { holdfastMain } from "../harness/paths.ts";

interface Asked {
  readonly request: string;
  readonly body: string;
}

interface AdminScene extends AsyncDisposable {
  readonly folder: string;
  readonly admin: string;
  readonly asked: readonly Asked[];
  run(...args: string[]): Promise<{ status: number; stdout: string; stderr: string }>;
}

/** An admin API that gives one answer to everything. */
async function startAdmin(status: number, answer: object): Promise<AdminScene> {
  const folder = mkdtempSync(path.join(tmpdir(), "holdfast-routers-"));
  const socket = path.join(folder, "admin.sock");
  const asked: Asked[] = [];
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const part of request) body += String(part);
    asked.push({ request: `${request.method} ${request.url}`, body });
    response.writeHead(status, { "Content-Type": "application/json", Connection: "close" });
    response.end(JSON.stringify(answer));
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  const admin = `unix:${socket}`;
  return {
    folder,
    admin,
    asked,
    run: (...args) => holdfast(args, admin),
    [Symbol.asyncDispose]: async () => {
      await new Promise((resolve) => server.close(resolve));
      rmSync(folder, { recursive: true });
    },
  };
}

function holdfast(
  args: readonly string[],
  admin: string,
): Promise<{ status: number; stdout: string; stderr: string }> {
  const env = { ...process.env, HOLDFAST_ADMIN: admin, NO_COLOR: "1" };
  return new Promise((resolve) => {
    execFile(process.execPath, [holdfastMain, ...args], { env }, (error, stdout, stderr) => {
      resolve({ status: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

const NO_ROUTERS: RoutersDocument = { process: null, routers: [], history: [] };

test("routers prints the document with --json, and a sentence when there is none, exit 0", async () => {
  await using scene = await startAdmin(200, NO_ROUTERS);
  const human = await scene.run("routers", "--history");
  assert.deepEqual(human, { status: 0, stdout: "no virtual routers\n", stderr: "" });
  const json = await scene.run("routers", "--json");
  assert.deepEqual(JSON.parse(json.stdout), NO_ROUTERS);
  assert.deepEqual(
    scene.asked.map(({ request }) => request),
    ["GET /routers", "GET /routers"],
  );
});

test("routers and router exit with 1 and say so when no gateway answers", async () => {
  const nowhere = "unix:/nonexistent/holdfast.sock";
  for (const args of [["routers"], ["router", "edge", "handover"]]) {
    const { status, stderr } = await holdfast(args, nowhere);
    assert.equal(status, 1, args.join(" "));
    assert.match(stderr, /no gateway answers at unix:\/nonexistent/);
  }
});

test("router sends the order and prints the outcome, exit 0", async () => {
  await using scene = await startAdmin(200, { ok: true, lines: ["edge: 192.0.2.2 is active now"] });
  const { status, stdout } = await scene.run("router", "edge", "handover");
  assert.deepEqual({ status, stdout }, { status: 0, stdout: "edge: 192.0.2.2 is active now\n" });
  const { request, body } = scene.asked[0]!;
  assert.equal(request, "POST /router");
  assert.deepEqual(JSON.parse(body), { router: "edge", order: "handover" });
});

test("router exits with 1 when nobody took over, with 2 when there is no such router or order", async () => {
  await using unfulfilled = await startAdmin(422, {
    ok: false,
    lines: ["edge: nobody took over: it stays active"],
  });
  const { status, stdout, stderr } = await unfulfilled.run("router", "edge", "handover");
  assert.deepEqual([status, stdout, stderr], [1, "", "edge: nobody took over: it stays active\n"]);
  const json = await unfulfilled.run("router", "edge", "handover", "--json");
  assert.equal(json.status, 1);
  assert.equal(JSON.parse(json.stdout).ok, false);
  assert.equal((await unfulfilled.run("router", "edge", "restart")).status, 2);
  await using unknown = await startAdmin(404, { ok: false, lines: ['there is no virtual router "x"'] });
  assert.equal((await unknown.run("router", "x", "resume")).status, 2);
});

test("routers and router explain themselves with --help, examples and exit statuses included", async () => {
  for (const command of ["routers", "router"]) {
    const { status, stdout } = await holdfast([command, "--help"], "unix:/nonexistent");
    assert.equal(status, 0);
    assert.match(stdout, new RegExp(`Examples?:[\\s\\S]*holdfast ${command}`));
    assert.match(stdout, /Exit status: 0 .*1 .*2 /);
  }
});

test("check prints the plan of the gateway on the file's admin address, and nothing about it when none answers", async () => {
  const lines = ["virtual routers: 1 unchanged; 0 address moves"];
  await using scene = await startAdmin(200, { ok: true, lines });
  const file = path.join(scene.folder, "gateway.yaml");
  const write = (admin: string) =>
    writeFileSync(
      file,
      `admin: "${admin}"\nvirtual_routers: { edge: { interface: lo, id: 1, addresses: 192.0.2.1/24 } }\n`,
    );
  write(scene.admin);
  const good = `${file}: 1 virtual router: good\n`;
  assert.deepEqual(await scene.run("check", file), {
    status: 0,
    stdout: `${good}if the gateway at ${scene.admin} reloads it:\n  ${lines[0]}\n`,
    stderr: "",
  });
  const { request, body } = scene.asked[0]!;
  assert.equal(request, "POST /plan");
  assert.equal(JSON.parse(body).virtualRouters[0].name, "edge");
  const json = JSON.parse((await scene.run("check", "--json", file)).stdout);
  assert.deepEqual(json.reloadPlan, { admin: scene.admin, lines });
  const before = scene.asked.length;
  assert.equal((await scene.run("check", "--offline", file)).stdout, good);
  assert.equal(scene.asked.length, before, "--offline asks nobody");
  write(`unix:${scene.folder}/nobody.sock`);
  assert.deepEqual(await scene.run("check", file), { status: 0, stdout: good, stderr: "" });
});

test("check is not fooled by a server on the admin address that is no gateway", async () => {
  await using scene = await startAdmin(404, { error: "what?" });
  const file = path.join(scene.folder, "gateway.yaml");
  writeFileSync(
    file,
    `admin: "${scene.admin}"\nvirtual_routers: { edge: { interface: lo, id: 1, addresses: 192.0.2.1/24 } }\n`,
  );
  assert.equal((await scene.run("check", file)).stdout, `${file}: 1 virtual router: good\n`);
});
