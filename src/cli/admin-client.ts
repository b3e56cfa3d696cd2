/**
 * Asks a running gateway over its admin API (daemon/admin-server.ts). Called by `status`, `reload`, `drain`, `server`, ….
 * Address: `--admin`, else the environment's HOLDFAST_ADMIN, else unix:/run/holdfast.sock.
 */
import { request } from "node:http";
import { Option } from "commander";
import { formatAddress, parseServerAddress } from "../config/address.ts";
import type { SocketAddress } from "../config/types.ts";
import { EXIT_BAD_NEWS, EXIT_WRONG_QUESTION, fail } from "./exit-status.ts";

export const DEFAULT_ADMIN = "unix:/run/holdfast.sock";

export interface AdminAnswer {
  readonly status: number;
  readonly body: string;
}

export interface AdminOptions {
  readonly admin: string;
}

export function adminOption(): Option {
  return new Option("--admin <address>", "admin API of the gateway: unix:/path or host:port")
    .env("HOLDFAST_ADMIN")
    .default(DEFAULT_ADMIN);
}

/** The answer, or undefined after an explanation was printed and the exit status set. */
export async function askGateway(
  admin: string,
  method: "GET" | "POST",
  path: string,
  body?: object,
): Promise<AdminAnswer | undefined> {
  const address = parseAdminAddress(admin);
  if (typeof address === "string") {
    fail(EXIT_WRONG_QUESTION, [`--admin: ${address}`]);
    return undefined;
  }
  try {
    return await send(address, method, path, body);
  } catch (error) {
    fail(EXIT_BAD_NEWS, explainUnreachable(address, error as NodeJS.ErrnoException));
    return undefined;
  }
}

/** The answer of whoever listens there, or undefined: nobody does, or not in time. Says nothing. */
export async function askQuietly(
  address: SocketAddress,
  method: "GET" | "POST",
  path: string,
  body: object | undefined,
  timeoutMs: number,
): Promise<AdminAnswer | undefined> {
  try {
    return await send(address, method, path, body, AbortSignal.timeout(timeoutMs));
  } catch {
    return undefined;
  }
}

/** The address, or why it is none. A path alone is taken as a UNIX socket. */
export function parseAdminAddress(text: string): SocketAddress | string {
  const parsed = parseServerAddress(text.startsWith("/") ? `unix:${text}` : text);
  return parsed.ok ? parsed.value : parsed.reason;
}

function send(
  address: SocketAddress,
  method: string,
  path: string,
  body?: object,
  signal?: AbortSignal,
): Promise<AdminAnswer> {
  const target = address.family === "unix" ? { socketPath: address.path } : address;
  const { family: _, ...where } = target as { family?: string };
  return new Promise((resolve, reject) => {
    const outgoing = request(
      { ...where, method, path, agent: false, ...(signal === undefined ? {} : { signal }) },
      (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (part: string) => {
          text += part;
        });
        response.on("error", reject);
        response.on("end", () => resolve({ status: response.statusCode ?? 0, body: text }));
      },
    );
    outgoing.on("error", reject);
    if (body === undefined) outgoing.end();
    else outgoing.setHeader("Content-Type", "application/json").end(JSON.stringify(body));
  });
}

export function explainUnreachable(address: SocketAddress, error: NodeJS.ErrnoException): string[] {
  const where = formatAddress(address);
  if (error.code === "EACCES" || error.code === "EPERM") {
    return [
      `not allowed to talk to the gateway at ${where}`,
      "hint: use sudo, or the user that runs the gateway",
    ];
  }
  return [
    `no gateway answers at ${where} (${error.code ?? error.message})`,
    "hint: is it running? the address is the `admin:` line of its configuration; pass it with --admin ADDRESS or HOLDFAST_ADMIN",
  ];
}
