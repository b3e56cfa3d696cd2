/**
 * Catalogue: programs that end TCP on both sides. Their real settings are better read from their configuration (readers/); these
 * are what holds when it says nothing. Data of ../catalogue.ts.
 */
import type { CatalogueEntry } from "../catalogue-entry.ts";

const BOTH_IDLE = ["client_idle_timeout", "server_timeout"];

export const PROXIES: readonly CatalogueEntry[] = [
  {
    name: "haproxy",
    title: "HAProxy, mode http",
    group: "proxies",
    kind: "proxy",
    defaults: {
      protocol: "http",
      client_idle_timeout: "50s",
      server_timeout: "50s",
      upstream_idle_timeout: "5s",
    },
    knobs: {
      "timeout client": { fields: ["client_idle_timeout"], unit: "ms" },
      "timeout server": { fields: ["server_timeout"], unit: "ms" },
      "timeout http-keep-alive": { fields: ["client_idle_timeout"], unit: "ms" },
      "pool-purge-delay": { fields: ["upstream_idle_timeout"], unit: "ms" },
      clitcpka: { fields: ["client_so_keepalive"] },
      srvtcpka: { fields: ["server_so_keepalive"] },
      tcpka: { fields: ["client_so_keepalive", "server_so_keepalive"] },
    },
    source: {
      text: "HAProxy documentation: no time-out by default (it warns), pool-purge-delay 5 s; 50 s are those of the packaged haproxy.cfg",
      url: "https://docs.haproxy.org/2.8/configuration.html#timeout%20client",
    },
    note: "each pool-purge-delay closes half of the idle connections to a server: some live longer than that",
  },
  {
    name: "haproxy-tcp",
    title: "HAProxy, mode tcp",
    group: "proxies",
    kind: "proxy",
    defaults: { protocol: "tcp", client_idle_timeout: "50s", server_timeout: "50s" },
    knobs: {
      "timeout client": { fields: ["client_idle_timeout"], unit: "ms" },
      "timeout server": { fields: ["server_timeout"], unit: "ms" },
      "timeout tunnel": { fields: BOTH_IDLE, unit: "ms" },
      clitcpka: { fields: ["client_so_keepalive"] },
      srvtcpka: { fields: ["server_so_keepalive"] },
      tcpka: { fields: ["client_so_keepalive", "server_so_keepalive"] },
    },
    source: {
      text: "no time-out by default (it warns); 50 s are those of the packaged haproxy.cfg",
      url: "https://docs.haproxy.org/2.8/configuration.html#timeout%20tunnel",
    },
  },
  {
    name: "nginx",
    title: "nginx, http",
    group: "proxies",
    kind: "proxy",
    defaults: {
      protocol: "http",
      client_so_keepalive: "off",
      client_idle_timeout: "75s",
      server_so_keepalive: "off",
      server_timeout: "60s",
      upstream_idle_timeout: "0",
      half_closed: "0",
    },
    knobs: {
      so_keepalive: { fields: ["client_so_keepalive"] },
      proxy_socket_keepalive: { fields: ["server_so_keepalive"] },
      keepalive_timeout: { fields: ["client_idle_timeout"] },
      proxy_read_timeout: { fields: ["server_timeout"] },
      upstream_keepalive_timeout: { fields: ["upstream_idle_timeout"] },
    },
    source: {
      text: "nginx documentation: keepalive_timeout 75s, proxy_read_timeout 60s; no upstream keepalive before 1.29.7",
      url: "https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_read_timeout",
    },
    note: "unless proxy_ignore_client_abort is on, a client that ends its side is taken for gone",
  },
  {
    name: "nginx-stream",
    title: "nginx, stream",
    group: "proxies",
    kind: "proxy",
    defaults: {
      protocol: "tcp",
      client_so_keepalive: "off",
      client_idle_timeout: "10m",
      server_so_keepalive: "off",
      server_timeout: "10m",
      half_closed: "0",
    },
    knobs: {
      so_keepalive: { fields: ["client_so_keepalive"] },
      proxy_socket_keepalive: { fields: ["server_so_keepalive"] },
      proxy_timeout: { fields: BOTH_IDLE },
    },
    source: {
      text: "nginx documentation: proxy_timeout 10m, proxy_half_close off (seen: boundary #3133)",
      url: "https://nginx.org/en/docs/stream/ngx_stream_proxy_module.html#proxy_timeout",
    },
  },
  {
    name: "ingress-nginx",
    title: "Kubernetes ingress-nginx, http",
    group: "proxies",
    kind: "proxy",
    defaults: {
      protocol: "http",
      client_idle_timeout: "75s",
      server_timeout: "60s",
      upstream_idle_timeout: "60s",
      half_closed: "0",
    },
    knobs: {
      "keep-alive": { fields: ["client_idle_timeout"] },
      "proxy-read-timeout": { fields: ["server_timeout"] },
      "upstream-keepalive-timeout": { fields: ["upstream_idle_timeout"] },
    },
    source: {
      text: "keep-alive 75, proxy-read-timeout 60, upstream-keepalive-timeout 60",
      url: "https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/configmap/",
      isUnverified: true,
    },
  },
  {
    name: "envoy",
    title: "Envoy, HTTP connection manager",
    group: "proxies",
    kind: "proxy",
    defaults: {
      protocol: "http",
      client_idle_timeout: "1h",
      server_timeout: "15s",
      upstream_idle_timeout: "1h",
    },
    knobs: {
      timeout: { fields: ["server_timeout"] },
      tcp_keepalive: { fields: ["client_so_keepalive"] },
      "upstream_connection_options.tcp_keepalive": { fields: ["server_so_keepalive"] },
    },
    source: {
      text: "Envoy documentation, timeouts: idle_timeout 1 h, route timeout 15 s; independent of TCP keepalive packets",
      url: "https://www.envoyproxy.io/docs/envoy/latest/faq/configuration/timeouts",
    },
  },
  {
    name: "envoy-tcp",
    title: "Envoy, tcp_proxy",
    group: "proxies",
    kind: "proxy",
    defaults: { protocol: "tcp", client_idle_timeout: "1h", server_timeout: "1h" },
    knobs: {
      tcp_keepalive: { fields: ["client_so_keepalive"] },
      "upstream_connection_options.tcp_keepalive": { fields: ["server_so_keepalive"] },
    },
    source: {
      text: "Envoy documentation, timeouts: tcp_proxy idle_timeout 1 h",
      url: "https://www.envoyproxy.io/docs/envoy/latest/faq/configuration/timeouts",
    },
    note: "keepalive set on the application does not pass through it (istio #36499)",
  },
  {
    name: "holdfast",
    title: "Holdfast, http listener",
    group: "proxies",
    kind: "proxy",
    defaults: {
      protocol: "http",
      client_so_keepalive: "60s:10s:6",
      client_idle_timeout: "75s",
      server_so_keepalive: "60s:10s:6",
      server_timeout: "60s",
      upstream_idle_timeout: "auto",
    },
    knobs: {
      keepalive_timeout: { fields: ["client_idle_timeout"] },
      pool_keepalive_timeout: { fields: ["upstream_idle_timeout"] },
      read_timeout: { fields: ["server_timeout"] },
    },
    source: { text: "docs/reference/config.md" },
  },
  {
    name: "holdfast-tcp",
    title: "Holdfast, tcp listener",
    group: "proxies",
    kind: "proxy",
    defaults: {
      protocol: "tcp",
      client_so_keepalive: "60s:10s:6",
      client_idle_timeout: "10m",
      server_so_keepalive: "60s:10s:6",
      server_timeout: "10m",
      half_closed: "60s",
      passes_reset_as: "reset",
    },
    source: { text: "docs/reference/config.md" },
  },
];
