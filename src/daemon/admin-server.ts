/**
 * The admin API: HTTP on a UNIX socket or a TCP address (design: `GET /status`, `GET /metrics`, `POST /reload`,
 * `POST /drain`). Runs in the supervisor, on Node's event loop; the data plane never waits for it.
 * There is no authentication: the file mode of the socket (0660) is the permission.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { SocketAddress } from "../config/types.ts";
import { PROMETHEUS_CONTENT_TYPE } from "../observe/prometheus.ts";
import type { StatusDocument } from "../observe/status.ts";
import { formatSocketAddress } from "../sys/sockaddr.ts";
import { describePortHolder } from "./port-holder.ts";
import { removeStaleSocketFile } from "./unix-path.ts";

export interface ReloadOutcome {
  readonly ok: boolean;
  /** What changed, or what is wrong. */
  readonly lines: readonly string[];
}

/** What the supervisor offers to its operators. */
export interface AdminActions {
  status(): StatusDocument;
  metrics(): string;
  reload(): Promise<ReloadOutcome>;
  drain(): void;
}

interface Endpoint {
  readonly method: "GET" | "POST";
  readonly handle: (actions: AdminActions, response: ServerResponse) => void | Promise<void>;
}

const ENDPOINTS: Readonly<Record<string, Endpoint>> = {
  "/status": {
    method: "GET",
    handle: (actions, response) => answerJson(response, 200, actions.status()),
  },
  "/metrics": {
    method: "GET",
    handle: (actions, response) => answer(response, 200, PROMETHEUS_CONTENT_TYPE, actions.metrics()),
  },
  "/reload": {
    method: "POST",
    handle: async (actions, response) => {
      const outcome = await actions.reload();
      answerJson(response, outcome.ok ? 200 : 422, outcome);
    },
  },
  "/drain": {
    method: "POST",
    handle: (actions, response) => {
      actions.drain();
      answerJson(response, 202, { ok: true, lines: ["draining"] });
    },
  },
};

export class AdminServer {
  readonly address: SocketAddress;
  readonly #server: Server;

  private constructor(address: SocketAddress, server: Server) {
    this.address = address;
    this.#server = server;
  }

  static async listen(address: SocketAddress, actions: AdminActions): Promise<AdminServer> {
    const server = createServer({ keepAliveTimeout: 5000 }, (request, response) => {
      handleRequest(actions, request, response).catch((error: unknown) => {
        answerError(response, 500, error instanceof Error ? error.message : String(error));
      });
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", (error: NodeJS.ErrnoException) => reject(explain(address, error)));
      server.once("listening", resolve);
      startListening(server, address);
    });
    return new AdminServer(address, server);
  }

  /** Answers that are being written are finished; the socket file goes away. */
  close(): void {
    this.#server.close();
    this.#server.closeIdleConnections();
  }
}

function startListening(server: Server, address: SocketAddress): void {
  if (address.family !== "unix") {
    server.listen({ host: address.host, port: address.port });
    return;
  }
  removeStaleSocketFile(address.path);
  const before = process.umask(0o117);
  try {
    server.listen({ path: address.path }); // binds before it returns
  } finally {
    process.umask(before);
  }
}

function explain(address: SocketAddress, error: NodeJS.ErrnoException): Error {
  const where = `the admin API cannot listen on ${formatSocketAddress(address)}`;
  if (error.code === "EADDRINUSE") {
    const holder = address.family === "unix" ? "a running gateway" : describePortHolder(address.port);
    return new Error(`${where}: the address is in use${holder === undefined ? "" : ` by ${holder}`}`);
  }
  if (address.family === "unix" && (error.code === "EACCES" || error.code === "ENOENT")) {
    const hint = `choose a directory that exists and that this user may write to ("admin:" in the configuration)`;
    return new Error(`${where}: ${error.code}; ${hint}`);
  }
  return new Error(`${where}: ${error.code ?? error.message}`);
}

async function handleRequest(
  actions: AdminActions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  request.resume();
  const path = (request.url ?? "/").split("?", 1)[0]!;
  const endpoint = Object.hasOwn(ENDPOINTS, path) ? ENDPOINTS[path] : undefined;
  if (endpoint === undefined) {
    answerError(response, 404, `there is no ${path}; there are ${Object.keys(ENDPOINTS).join(", ")}`);
    return;
  }
  const method = request.method === "HEAD" ? "GET" : request.method;
  if (method !== endpoint.method) {
    response.setHeader("Allow", endpoint.method);
    answerError(response, 405, `${path} takes ${endpoint.method}`);
    return;
  }
  // A web page that the operator looks at may post to 127.0.0.1; its browser then names the page's origin.
  if (endpoint.method === "POST" && request.headers.origin !== undefined) {
    answerError(response, 403, "requests from web pages are refused");
    return;
  }
  await endpoint.handle(actions, response);
}

function answer(response: ServerResponse, status: number, contentType: string, body: string): void {
  response.writeHead(status, { "Content-Type": contentType, "Content-Length": Buffer.byteLength(body) });
  response.end(body);
}

function answerJson(response: ServerResponse, status: number, body: object): void {
  answer(response, status, "application/json", `${JSON.stringify(body)}\n`);
}

function answerError(response: ServerResponse, status: number, error: string): void {
  answerJson(response, status, { error });
}
