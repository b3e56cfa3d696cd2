/** Unit tests of RouteTable: a table of requests, and a comparison with an obvious implementation (fast-check). */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { RouteConfig } from "../config/types.ts";
import { RouteTable } from "./routes.ts";

const route = (host: string | undefined, path: string, pool = "p"): RouteConfig => ({ host, path, pool });

/** Puts host and path between other bytes: the table must look at the ranges alone. */
function matchText(table: RouteTable, host: string | undefined, path: string): number {
  const bytes = new TextEncoder().encode(`/?.:9${host ?? ""}/x.${path}/tail`);
  const pathStart = 5 + (host ?? "").length + 3;
  const hostStart = host === undefined ? -1 : 5;
  return table.match(bytes, hostStart, 5 + (host ?? "").length, pathStart, pathStart + path.length);
}

const TABLE: readonly [
  routes: readonly RouteConfig[],
  cases: readonly [string | undefined, string, number][],
][] = [
  [
    [],
    [
      ["a", "/", -1],
      [undefined, "/", -1],
    ],
  ],
  [
    [route(undefined, "/")],
    [
      ["a", "/x", 0],
      [undefined, "*", 0],
      ["", "/", 0],
    ],
  ],
  [
    [route(undefined, "/v1"), route(undefined, "/v2/")],
    [
      ["a", "/v1", 0],
      ["a", "/v1/x", 0],
      ["a", "/v1?x", 0],
      ["a", "/v10", -1],
      ["a", "/v", -1],
      ["a", "/v2", -1],
      ["a", "/v2/", 1],
      ["a", "/v2/x", 1],
      ["a", "/V1", -1],
      ["a", "/", -1],
    ],
  ],
  [
    [route(undefined, "/"), route(undefined, "/a"), route(undefined, "/a/b"), route(undefined, "/a/b/c/")],
    [
      ["h", "/a/b/c/d", 3],
      ["h", "/a/b/c", 2],
      ["h", "/a/bc", 1],
      ["h", "/ab", 0],
      ["h", "/a/a/b", 1],
      ["h", "/z", 0],
      ["h", "*", 0],
    ],
  ],
  [
    [
      route("example.org", "/"),
      route("*.example.org", "/"),
      route("*.api.example.org", "/"),
      route("x.api.example.org", "/"),
      route(undefined, "/"),
    ],
    [
      ["example.org", "/", 0],
      ["EXAMPLE.Org:8080", "/", 0],
      ["example.org.", "/", 0],
      ["example.org.:80", "/", 0],
      ["example.org:", "/", 0],
      ["www.example.org", "/", 1],
      ["a.b.example.org:1", "/", 1],
      ["api.example.org", "/", 1],
      ["y.api.example.org", "/", 2],
      ["x.api.example.org", "/", 3],
      ["X.API.example.org", "/", 3],
      [".example.org", "/", 1],
      ["notexample.org", "/", 4],
      ["example.org.evil.net", "/", 4],
      ["", "/", 4],
      [":80", "/", 4],
      [".", "/", 4],
      [undefined, "/", 4],
    ],
  ],
  [
    [
      route("a.example.org", "/only/here"),
      route("*.example.org", "/shared"),
      route("*.org", "/org"),
      route(undefined, "/d"),
      route("b.example.net", "/"),
    ],
    [
      ["a.example.org", "/only/here/x", 0],
      ["a.example.org", "/shared", 1],
      ["a.example.org", "/org/x", 2],
      ["a.example.org", "/d", 3],
      ["a.example.org", "/none", -1],
      ["example.org", "/shared", -1],
      ["example.org", "/org", 2],
      ["b.example.net", "/d", 4],
      ["c.example.net", "/d", 3],
    ],
  ],
  [
    [route("::1", "/"), route("[2001:db8::2]", "/"), route("192.0.2.1", "/")],
    [
      ["[::1]", "/", 0],
      ["[::1]:8080", "/", 0],
      ["[2001:DB8::2]:80", "/", 1],
      ["192.0.2.1:80", "/", 2],
      ["192.0.2.1", "/", 2],
      ["[::1", "/", -1],
      ["[", "/", -1],
    ],
  ],
  [[route(undefined, "/x"), route(undefined, "/x")], [["a", "/x", 0]]],
];

for (const [routes, cases] of TABLE) {
  const name = routes.map(({ host, path }) => `${host ?? ""}${path}`).join(" ");
  test(`match() picks host, then longest path, among ${name || "no routes"} (RFC 9110 §7.4)`, () => {
    const table = new RouteTable(routes);
    for (const [host, path, expected] of cases) {
      assert.equal(matchText(table, host, path), expected, `${host} ${path}`);
    }
  });
}

/** The rules of the file's header, said once more in the plainest way. */
function obviousMatch(routes: readonly RouteConfig[], host: string, path: string): number {
  const name = host.toLowerCase().replace(/:\d*$/, "").replace(/\.$/, "");
  const specificity = (candidate: string | undefined): number => {
    if (candidate === undefined) return 0;
    if (!candidate.startsWith("*")) return candidate === name ? 1000 : -1;
    return name.endsWith(candidate.slice(1)) ? candidate.length : -1;
  };
  const fits = (prefix: string) =>
    prefix === "/" ||
    (path.startsWith(prefix) &&
      (prefix.endsWith("/") || ["", "/", "?"].includes(path.charAt(prefix.length))));
  let best = -1;
  let bestRank = -1;
  for (const [index, { host: candidate, path: prefix }] of routes.entries()) {
    const rank =
      specificity(candidate) < 0 || !fits(prefix) ? -1 : specificity(candidate) * 1000 + prefix.length;
    if (rank > bestRank) {
      best = index;
      bestRank = rank;
    }
  }
  return best;
}

test("match() agrees with the obvious implementation on random tables and requests", () => {
  const label = fc.constantFrom("a", "b");
  const name = fc.array(label, { minLength: 1, maxLength: 3, size: "max" }).map((labels) => labels.join("."));
  const path = fc.oneof(
    fc.constantFrom("/", "/a", "/b", "/a/b"),
    fc.array(fc.constantFrom("/", "/", "a", "b", "?"), { maxLength: 7 }).map((parts) => `/${parts.join("")}`),
  );
  const host = fc.oneof(
    fc.constant(undefined),
    name,
    name.map((suffix) => `*.${suffix}`),
  );
  const routes = fc.array(fc.record({ host, path, pool: fc.constant("p") }), { maxLength: 12, size: "max" });
  const requestHost = fc
    .tuple(name, fc.constantFrom("", ":80", ".", ".:8", ":"))
    .map((parts) => parts.join(""));
  fc.assert(
    fc.property(routes, requestHost, fc.boolean(), path, (table, asked, isUpperCase, target) => {
      const sent = isUpperCase ? asked.toUpperCase() : asked;
      assert.equal(matchText(new RouteTable(table), sent, target), obviousMatch(table, asked, target));
    }),
    { numRuns: 3000 },
  );
});
