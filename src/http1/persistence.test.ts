/** Every combination of the persistence tables of RFC 9112 §9.3, against the rules written a second time as sentences. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CLOSE_CAUSES } from "../observe/close-cause.ts";
import { ConnectionOption } from "./connection-options.ts";
import { Framing } from "./framing.ts";
import {
  clientPersistenceAfter,
  PERSISTENCE_DECISIONS,
  PersistenceDecision,
  PersistenceLimit,
  upstreamPersistenceAfter,
} from "./persistence.ts";

const ALL_OPTIONS = 32;
const ALL_LIMITS = 64;
const LIMIT_NAMES = [
  "",
  "unread-body|request-unfinished",
  "draining",
  "request-limit",
  "age-limit",
  "disabled",
];

function firstLimit(limits: number): string {
  for (let bit = 1; bit < 6; bit++) if ((limits & (1 << bit)) !== 0) return LIMIT_NAMES[bit]!;
  return "";
}

test("clientPersistenceAfter() follows the table in every combination (RFC 9112 §9.3)", () => {
  for (const minorVersion of [0, 1]) {
    for (let options = 0; options < ALL_OPTIONS; options++) {
      for (const isSelfDelimited of [false, true]) {
        for (let limits = 0; limits < ALL_LIMITS; limits++) {
          const { name, persists, closeCause } =
            PERSISTENCE_DECISIONS[clientPersistenceAfter(minorVersion, options, isSelfDelimited, limits)]!;
          const asksClose = (options & ConnectionOption.CLOSE) !== 0;
          const asksKeepAlive = (options & ConnectionOption.KEEP_ALIVE) !== 0;
          const limit = firstLimit(limits);
          let wanted = limit === "" ? "persist" : `client-${limit.split("|")[0]}`;
          if (!isSelfDelimited) wanted = "length-unknown";
          if (minorVersion === 0 && !asksKeepAlive) wanted = "client-is-http10";
          if (asksClose) wanted = "client-asked-close";
          assert.equal(name, wanted, `HTTP/1.${minorVersion} ${options} ${isSelfDelimited} ${limits}`);
          assert.equal(persists, name === "persist");
          assert.equal(closeCause === undefined, persists);
        }
      }
    }
  }
});

test("upstreamPersistenceAfter() follows the table in every combination (RFC 9112 §9.3)", () => {
  for (const minorVersion of [0, 1]) {
    for (let options = 0; options < ALL_OPTIONS; options++) {
      for (const framing of Object.values(Framing)) {
        for (let limits = 0; limits < ALL_LIMITS; limits++) {
          const { name, persists } =
            PERSISTENCE_DECISIONS[upstreamPersistenceAfter(minorVersion, options, framing, limits)]!;
          const limit = firstLimit(limits);
          let wanted = limit === "" ? "persist" : `server-${limit.split("|").at(-1)}`;
          if (minorVersion === 0 && (options & ConnectionOption.KEEP_ALIVE) === 0)
            wanted = "server-is-http10";
          if ((options & ConnectionOption.CLOSE) !== 0) wanted = "server-said-close";
          if ((limits & PersistenceLimit.FAULTY_FRAMING) !== 0) wanted = "server-faulty-framing";
          if (framing === Framing.UNTIL_CLOSE) wanted = "server-ends-by-close";
          assert.equal(name, wanted, `HTTP/1.${minorVersion} ${options} framing ${framing} ${limits}`);
          assert.equal(persists, name === "persist");
        }
      }
    }
  }
});

test("PERSISTENCE_DECISIONS names each index and only registered close causes", () => {
  const causes = new Set<string>(CLOSE_CAUSES.map((cause) => cause.name));
  for (const [name, index] of Object.entries(PersistenceDecision)) {
    const entry = PERSISTENCE_DECISIONS[index]!;
    assert.equal(entry.name, name.toLowerCase().replaceAll("_", "-"));
    if (entry.closeCause !== undefined) assert.ok(causes.has(entry.closeCause), entry.closeCause);
  }
  assert.equal(PERSISTENCE_DECISIONS.length, Object.keys(PersistenceDecision).length);
});
