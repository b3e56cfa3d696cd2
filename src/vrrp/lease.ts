/**
 * How long the kernel keeps a virtual address that nobody renews: addresses are installed with a finite valid lifetime, so that they
 * vanish when every process of the gateway was killed. Pure. The kernel counts lifetimes in whole seconds (`valid_lft`, ip-address(8))
 * and checks them about once a second (net/ipv4/devinet.c, check_lifetime), so that a lease ends up to a second late.
 *
 * The price: for up to a lease after a `kill -9` both the dead node and the new active one have the address. It is announced by the
 * new one only, and a dead gateway answers nothing but ARP for it.
 */

const LEASE_SECONDS_MIN = 2;
/**
 * A renewal is a synchronous request that waits for the kernel's RTNL lock, behind whoever changes links or routes at the moment: at 10 ms
 * between advertisements it must be rare, so once a second. Not rarer: with the second in which the kernel looks, the address has left
 * a dead node after 4 s, before the new active router announces it for the second time (`announce.delay`, 5 s).
 */
const AUTO_SECONDS_MIN = 3;
/** A lease outlives what a backup waits at most before it takes over, and a second for renewing it. */
const LEASE_ADVERTISEMENTS = 4;
const RENEWALS_PER_LEASE = 3;

/** `configuredMs` 0: for ever, undefined. A lease is never shorter than the kernel's own granularity allows. */
export function leaseSeconds(configuredMs: number | "auto", advertIntervalMs: number): number | undefined {
  if (configuredMs === 0) return undefined;
  if (configuredMs !== "auto") return Math.max(LEASE_SECONDS_MIN, Math.ceil(configuredMs / 1000));
  return Math.max(AUTO_SECONDS_MIN, Math.ceil((LEASE_ADVERTISEMENTS * advertIntervalMs) / 1000) + 1);
}

/** Every third of the lease: one renewal may fail. */
export function renewAfterMs(seconds: number): number {
  return (seconds * 1000) / RENEWALS_PER_LEASE;
}
