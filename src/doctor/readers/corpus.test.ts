/** The readers on configuration files in the style of distributions, containers and Kubernetes: each value with its line. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { diskFiles } from "../../cli/predict-files.ts";
import { readHaproxy } from "./haproxy.ts";
import { readIpvs } from "./ipvs.ts";
import { readKeepalived } from "./keepalived.ts";
import { readNginx } from "./nginx.ts";
import { corpusDirectory, corpusFiles, summary } from "./reading-fixtures.ts";
import { readConntrack, readKernelDefaults } from "./sysctl.ts";

const { files } = corpusFiles();

const NGINX: readonly (readonly [file: string, selector: string | undefined, expected: string])[] = [
  [
    "debian.conf",
    "8080",
    "nginx client_so_keepalive=60s:10s:6@app:2 client_idle_timeout=65s@timeouts.conf:1 server_timeout=120s@app:9",
  ],
  [
    "debian.conf",
    "app.example.org/ws/",
    "nginx client_so_keepalive=60s:10s:6@app:2 client_idle_timeout=65s@timeouts.conf:1 server_timeout=1d@app:16",
  ],
  [
    "debian.conf",
    undefined,
    "nginx client_so_keepalive=60s:10s:6@app:2 client_idle_timeout=65s@timeouts.conf:1 server_timeout=120s@app:9",
  ],
  ["docker.conf", "80", "nginx client_idle_timeout=65s@docker.conf:25"],
  [
    "upstream-keepalive.conf",
    "www.example.org",
    "nginx client_idle_timeout=30s@upstream-keepalive.conf:25 server_so_keepalive=on@upstream-keepalive.conf:28 upstream_idle_timeout=55s@upstream-keepalive.conf:8",
  ],
  [
    "upstream-keepalive.conf",
    "example.org/old/x",
    "nginx client_idle_timeout=30s@upstream-keepalive.conf:25 upstream_idle_timeout=0@upstream-keepalive.conf:13",
  ],
  [
    "upstream-keepalive.conf",
    "example.org/headers/",
    "nginx client_idle_timeout=30s@upstream-keepalive.conf:25 upstream_idle_timeout=0@upstream-keepalive.conf:13 half_closed=never@upstream-keepalive.conf:37",
  ],
  [
    "upstream-keepalive.conf",
    "api.example.org/v1/slow",
    "nginx server_timeout=1h@upstream-keepalive.conf:43 upstream_idle_timeout=55s@upstream-keepalive.conf:8",
  ],
  [
    "upstream-keepalive.conf",
    "api.example.org/v1",
    "nginx server_timeout=5m@upstream-keepalive.conf:43 upstream_idle_timeout=55s@upstream-keepalive.conf:8",
  ],
  ["upstream-keepalive.conf", undefined, "0: has several servers"],
  ["upstream-keepalive.conf", "81", "0: has no server 81"],
  ["upstream-keepalive.conf", "api.example.org/nothing", "0: has no location for /nothing"],
  [
    "stream.conf",
    "5432",
    "nginx-stream client_so_keepalive=10m::9@stream.conf:8 client_idle_timeout=30m@stream.conf:6 server_so_keepalive=on@stream.conf:10 server_timeout=30m@stream.conf:6 half_closed=never@stream.conf:11",
  ],
  [
    "stream.conf",
    "6379",
    "nginx-stream client_idle_timeout=1h@stream.conf:16 server_timeout=1h@stream.conf:16",
  ],
  ["fastcgi.conf", "80", "nginx server_timeout=300s@fastcgi.conf:2"],
  [
    "ingress.conf",
    "443",
    "nginx client_idle_timeout=75s@ingress.conf:14 server_timeout=3600s@ingress.conf:36 upstream_idle_timeout=60s@ingress.conf:21",
  ],
  [
    "ingress.conf",
    "9000",
    "nginx-stream client_idle_timeout=600s@ingress.conf:43 server_timeout=600s@ingress.conf:43",
  ],
  [
    "grpc.conf",
    undefined,
    "nginx client_so_keepalive=on@grpc.conf:5 client_idle_timeout=0s@grpc.conf:6 server_so_keepalive=on@grpc.conf:7 server_timeout=24h@grpc.conf:7",
  ],
];

for (const [file, selector, expected] of NGINX) {
  test(`readNginx() reads ${file}${selector === undefined ? "" : `:${selector}`}`, () => {
    assert.equal(summary(readNginx(`nginx/${file}`, selector, files)), expected);
  });
}

const HAPROXY: readonly (readonly [file: string, selector: string | undefined, expected: string])[] = [
  [
    "debian.cfg",
    undefined,
    "haproxy protocol=http@debian.cfg:15 client_idle_timeout=50s@debian.cfg:19 server_timeout=50s@debian.cfg:20",
  ],
  [
    "rhel.cfg",
    "5000",
    "haproxy protocol=http@rhel.cfg:5 client_idle_timeout=10s@rhel.cfg:16 server_timeout=5m@rhel.cfg:32 upstream_idle_timeout=0@rhel.cfg:8",
  ],
  [
    "rhel.cfg",
    "main/static",
    "haproxy protocol=http@rhel.cfg:5 client_idle_timeout=10s@rhel.cfg:16 server_timeout=1m@rhel.cfg:15 upstream_idle_timeout=0@rhel.cfg:8",
  ],
  [
    "tcp-keepalive.cfg",
    "postgres",
    "haproxy-tcp protocol=tcp@tcp-keepalive.cfg:2 client_so_keepalive=on@tcp-keepalive.cfg:6 client_keepalive_idle=1m@tcp-keepalive.cfg:8 client_keepalive_interval=10s@tcp-keepalive.cfg:9 client_keepalive_count=5@tcp-keepalive.cfg:10 server_so_keepalive=on@tcp-keepalive.cfg:7 server_keepalive_idle=2m@tcp-keepalive.cfg:11 client_user_timeout=1m50s@tcp-keepalive.cfg:14 server_user_timeout=30s@tcp-keepalive.cfg:17 client_idle_timeout=12h@tcp-keepalive.cfg:16 server_timeout=12h@tcp-keepalive.cfg:16 half_closed=30s@tcp-keepalive.cfg:15",
  ],
  [
    "tcp-keepalive.cfg",
    "6379",
    "haproxy-tcp protocol=tcp@tcp-keepalive.cfg:2 client_so_keepalive=off@tcp-keepalive.cfg:22 client_keepalive_idle=1m@tcp-keepalive.cfg:8 client_keepalive_interval=10s@tcp-keepalive.cfg:9 client_keepalive_count=5@tcp-keepalive.cfg:10 server_so_keepalive=off@tcp-keepalive.cfg:23 server_keepalive_idle=2m@tcp-keepalive.cfg:11 server_user_timeout=20s@tcp-keepalive.cfg:25 client_idle_timeout=1h@tcp-keepalive.cfg:4 server_timeout=1h@tcp-keepalive.cfg:5 half_closed=10s@tcp-keepalive.cfg:24",
  ],
  [
    "named-defaults.cfg",
    "8080",
    "haproxy protocol=http@named-defaults.cfg:8 client_idle_timeout=30s@named-defaults.cfg:5 server_timeout=30s@named-defaults.cfg:6 upstream_idle_timeout=0@named-defaults.cfg:17",
  ],
  [
    "no-timeouts.cfg",
    undefined,
    "haproxy-tcp protocol=tcp@no-timeouts.cfg:4 client_so_keepalive=on@no-timeouts.cfg:5 server_so_keepalive=on@no-timeouts.cfg:5",
  ],
  [
    "websocket.cfg",
    "ws",
    "haproxy protocol=http@websocket.cfg:2 client_so_keepalive=on@websocket.cfg:9 server_so_keepalive=on@websocket.cfg:9 client_idle_timeout=1s@websocket.cfg:7 server_timeout=25s@websocket.cfg:5",
  ],
  [
    "kubernetes-api.cfg",
    "6443",
    "haproxy-tcp protocol=tcp@kubernetes-api.cfg:3 client_idle_timeout=5m@kubernetes-api.cfg:5 server_timeout=5m@kubernetes-api.cfg:11 half_closed=5m@kubernetes-api.cfg:5",
  ],
  [
    "conditional.cfg",
    "in/api",
    "haproxy protocol=http@conditional.cfg:13 client_idle_timeout=1d@conditional.cfg:14 server_timeout=10m@conditional.cfg:26",
  ],
  ["conditional.cfg", undefined, "0: has several frontends"],
  ["conditional.cfg", "in/none-such", "0: has no backend none-such"],
];

for (const [file, selector, expected] of HAPROXY) {
  test(`readHaproxy() reads ${file}${selector === undefined ? "" : `:${selector}`}`, () => {
    assert.equal(summary(readHaproxy(`haproxy/${file}`, selector, files)), expected);
  });
}

test("readHaproxy() warns where a time-out is missing: HAProxy has no default", () => {
  const result = readHaproxy("haproxy/no-timeouts.cfg", undefined, files);
  assert.deepEqual(result.ok && result.warnings.map(({ line, message }) => `${line}: ${message}`), [
    "2: no timeout client: a connection that is silent stays for ever",
    "2: no timeout server: a connection that is silent stays for ever",
  ]);
});

test("readKeepalived() makes LVS boxes; lvs_timeouts holds for all, CLOSE_WAIT stays 60 s (ip_vs_proto_tcp.c)", () => {
  const dr = "lvs timeout=3600s@lvs-dr.conf:9 half_closed=30s@lvs-dr.conf:9";
  assert.equal(summary(readKeepalived("keepalived/lvs-dr.conf", "192.0.2.100:443", files)), dr);
  assert.equal(summary(readKeepalived("keepalived/lvs-dr.conf", "fwmark 3", files)), dr);
  assert.equal(
    summary(readKeepalived("keepalived/lvs-dr.conf", undefined, files)),
    "0: has several virtual servers",
  );
  const nat = readKeepalived("keepalived/lvs-nat.conf", undefined, files);
  assert.equal(nat.ok && nat.hop.settings.timeout?.text, "900s");
  assert.equal(nat.ok && nat.hop.settings.half_closed?.text, "60s");
});

test("readIpvs() reads `ipvsadm -l --timeout`", () => {
  assert.equal(
    summary(readIpvs("sysctl/ipvs-timeout.txt", undefined, files)),
    "lvs timeout=900s@ipvs-timeout.txt:1 half_closed=60s@ipvs-timeout.txt:1",
  );
  assert.equal(
    summary(readIpvs("sysctl/sysctl-a.txt", undefined, files)),
    '0: has no line "Timeout (tcp tcpfin udp): …"',
  );
});

test("readConntrack() and readKernelDefaults() read the output of sysctl -a and files of sysctl.d", () => {
  assert.equal(
    summary(readConntrack("sysctl/sysctl-a.txt", files)),
    "conntrack timeout=86400s@sysctl-a.txt:10 half_closed=60s@sysctl-a.txt:9 unanswered=300s@sysctl-a.txt:11",
  );
  assert.equal(
    summary(readConntrack("sysctl/60-strict.conf", files)),
    "conntrack-drop-invalid timeout=1800s@60-strict.conf:3",
  );
  assert.deepEqual(readKernelDefaults("sysctl/sysctl-a.txt", files), {
    ok: true,
    kernel: { tcpKeepalive: { idleSeconds: 600, intervalSeconds: 30, probeCount: 5 }, tcpRetries2: 8 },
    where: "sysctl-a.txt:4",
  });
});

test("diskFiles() finds what nginx's include patterns name, without hidden files", () => {
  const disk = diskFiles();
  const names = disk
    .glob(`${corpusDirectory}/nginx/sites-enabled/*`)
    .map((name) => name.slice(corpusDirectory.length));
  assert.deepEqual(names, ["/nginx/sites-enabled/app", "/nginx/sites-enabled/default"]);
  assert.deepEqual(disk.glob(`${corpusDirectory}/ngin[xy]/conf.?/t*.conf`).length, 1);
  assert.deepEqual(disk.glob(`${corpusDirectory}/nothing/*`), []);
  const relative = readNginx(`${corpusDirectory}/nginx/debian.conf`, "8080", disk);
  assert.match(summary(relative), /client_idle_timeout=65s@timeouts\.conf:1/);
});

for (const [file, read] of [
  ["/etc/nginx/nginx.conf", readNginx],
  ["/etc/haproxy/haproxy.cfg", readHaproxy],
  ["/etc/keepalived/keepalived.conf.sample", readKeepalived],
] as const) {
  test(`${read.name}() understands this machine's ${file}`, {
    skip: existsSync(file) ? false : `${file} is not installed`,
  }, () => {
    const result = read(file, undefined, diskFiles());
    // Packaged files may pass nothing on, or hold several servers: no complaint about their syntax is what counts.
    const complaints = result.ok ? [] : result.diagnostics.filter(({ line }) => line > 0);
    assert.deepEqual(complaints, []);
  });
}
