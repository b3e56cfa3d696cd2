/**
 * The admin API: HTTP on a UNIX socket or a TCP address (design: `GET /status`, `GET /metrics`, `POST /reload`,
 * `POST /drain`; `POST /server` for one server; `GET /routers`, `POST /router`, `POST /plan` for virtual routers). Runs in the supervisor, on Node's event loop; the data plane never waits for it.
 * There is no authentication: the file mode of the socket (0660) is the permission.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { SocketAddress, VirtualRouterConfig } from "../config/types.ts";
import { PROMETHEUS_CONTENT_TYPE } from "../observe/prometheus.ts";
import type { RoutersDocument } from "../observe/router-status.ts";
import type { StatusDocument } from "../observe/status.ts";
import { formatSocketAddress } from "../sys/sockaddr.ts";
import { describePortHolder } from "./port-holder.ts";
import type { RouterOrderOutcome, RouterOrderRequest } from "./router-orders.ts";
import type { OrderOutcome, ServerOrderRequest } from "./server-orders.ts";
import type { SessionsDocument } from "./session-collector.ts";
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
  orderServer(request: ServerOrderRequest): OrderOutcome;
  sessions(limit: number): Promise<SessionsDocument>;
  routers(): RoutersDocument;
  orderRouter(request: RouterOrderRequest): Promise<RouterOrderOutcome>;
  planRouters(virtualRouters: readonly VirtualRouterConfig[]): readonly string[];
}

/** Of `GET /sessions`; a session is about 400 bytes of JSON. */
const SESSIONS_MAX = 10_000;
const SESSIONS_DEFAULT = 100;

/** Longer requests are refused; a plan of 255 routers with 20 addresses each is about 600 KiB. */
const BODY_BYTES_MAX = 1024 * 1024;

interface Endpoint {
  readonly method: "GET" | "POST";
  /** `body`: of the request, empty for GET. `query`: what follows the path. */
  readonly handle: (
    actions: AdminActions,
    response: ServerResponse,
    body: string,
    query: URLSearchParams,
  ) => void | Promise<void>;
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
  "/sessions": {
    method: "GET",
    handle: async (actions, response, _body, query) => {
      const limit = Number(query.get("limit") ?? SESSIONS_DEFAULT);
      if (Number.isInteger(limit) && limit >= 0 && limit <= SESSIONS_MAX)
        answerJson(response, 200, await actions.sessions(limit));
      else answerError(response, 400, `limit is a number from 0 to ${SESSIONS_MAX}`);
    },
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
  /** {"pool", "server", "action": "drain" | "maint" | "up", "weight"}: one of the last two may be missing. */
  "/server": {
    method: "POST",
    handle: (actions, response, body) => {
      const request = parseObject(body);
      if (request === undefined) {
        answerError(response, 400, "send a JSON object: pool, server, and action or weight");
        return;
      }
      answerOutcome(response, actions.orderServer(request));
    },
  },
  "/routers": {
    method: "GET",
    handle: (actions, response) => answerJson(response, 200, actions.routers()),
  },
  /** {"router", "order": "handover" | "maintenance" | "resume"}: answered when it is carried out, seconds later at long intervals. */
  "/router": {
    method: "POST",
    handle: async (actions, response, body) => {
      const request = parseObject(body);
      if (request === undefined) {
        answerError(response, 400, "send a JSON object: router, order");
        return;
      }
      answerOutcome(response, await actions.orderRouter(request));
    },
  },
  /** {"virtualRouters": […]} as `holdfast check` has resolved them: what a reload would do to those in force; changes nothing. */
  "/plan": {
    method: "POST",
    handle: (actions, response, body) => {
      const virtualRouters = parseObject(body)?.virtualRouters;
      if (!Array.isArray(virtualRouters)) {
        answerError(response, 400, "send a JSON object: virtualRouters, a list");
        return;
      }
      if (!virtualRouters.every(isResolvedRouter)) {
        answerError(
          response,
          400,
          "virtualRouters are not as this release of `holdfast check` resolves them",
        );
        return;
      }
      const lines = actions.planRouters(virtualRouters);
      answerJson(response, 200, { ok: true, lines });
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
  const body = await readBody(request);
  if (body === undefined) {
    answerError(response, 413, `more than ${BODY_BYTES_MAX} bytes`);
    return;
  }
  const [path = "/", query = ""] = (request.url ?? "/").split("?", 2);
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
  await endpoint.handle(actions, response, body, new URLSearchParams(query));
}

/** Undefined: it is too long. */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of request) {
    bytes += (part as Buffer).length;
    if (bytes <= BODY_BYTES_MAX) parts.push(part as Buffer);
  }
  return bytes <= BODY_BYTES_MAX ? Buffer.concat(parts).toString("utf8") : undefined;
}

/** The fields that a plan looks at are there; the rest `holdfast check` of this release has validated. */
function isResolvedRouter(value: unknown): value is VirtualRouterConfig {
  if (typeof value !== "object" || value === null) return false;
  const router = value as Partial<VirtualRouterConfig>;
  const lists = [router.addresses, router.extraAddresses, router.unicastPeers];
  return (
    typeof router.name === "string" && typeof router.interface === "string" && lists.every(Array.isArray)
  );
}

function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    return isObject ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function answer(response: ServerResponse, status: number, contentType: string, body: string): void {
  response.writeHead(status, { "Content-Type": contentType, "Content-Length": Buffer.byteLength(body) });
  response.end(body);
}

function answerJson(response: ServerResponse, status: number, body: object): void {
  answer(response, status, "application/json", `${JSON.stringify(body)}\n`);
}

function answerOutcome(
  response: ServerResponse,
  outcome: { readonly ok: boolean; readonly lines: readonly string[]; readonly isUnknownName?: boolean },
): void {
  const { ok, lines } = outcome;
  answerJson(response, ok ? 200 : outcome.isUnknownName === true ? 404 : 422, { ok, lines });
}

function answerError(response: ServerResponse, status: number, error: string): void {
  answerJson(response, status, { error });
}
