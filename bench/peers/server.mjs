/**
 * One of the Node proxies on the market, in its recommended fast shape (keep-alive agent, many sockets), for the benchmark.
 * Usage: node server.mjs http-proxy-3|httpxy|fastify LISTEN_PORT UPSTREAM_PORT. Prints `ready` and its version.
 */
import { readFileSync } from "node:fs";
import http from "node:http";

const [name, listenPort, upstreamPort] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const target = `http://127.0.0.1:${upstreamPort}`;
const agent = new http.Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY, maxFreeSockets: 2048 });

function version(packageName) {
  const manifest = new URL(`./node_modules/${packageName}/package.json`, import.meta.url);
  return `${packageName} ${JSON.parse(readFileSync(manifest, "utf8")).version}`;
}

/** Both descendants of http-proxy have its interface: createProxyServer().web(request, response). */
async function startHttpProxy(library, packageName) {
  const proxy = library.createProxyServer({ target, agent, xfwd: true });
  proxy.on("error", (_error, _request, response) => {
    if (!response.headersSent) response.writeHead(502);
    response.end();
  });
  const server = http.createServer({ keepAliveTimeout: 3_600_000 }, (request, response) => {
    Promise.resolve(proxy.web(request, response)).catch(() => {});
  });
  server.maxRequestsPerSocket = 0;
  server.listen(listenPort, "127.0.0.1", 4096, () => console.log(`ready ${version(packageName)}`));
}

async function startFastify() {
  const { default: createServer } = await import("fastify");
  const { default: proxy } = await import("@fastify/http-proxy");
  const server = createServer({ logger: false, keepAliveTimeout: 3_600_000 });
  await server.register(proxy, { upstream: target, undici: { connections: 1024, pipelining: 1 } });
  await server.listen({ port: listenPort, host: "127.0.0.1", backlog: 4096 });
  console.log(`ready ${version("@fastify/http-proxy")}`);
}

if (name === "fastify") await startFastify();
else await startHttpProxy(await import(name), name);
