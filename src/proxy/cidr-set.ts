/**
 * A set of networks in CIDR notation (RFC 4632, RFC 4291 §2.3), asked once per request where `trusted_proxies` is set. Pure.
 * An IPv4 address inside IPv6 (`::ffff:192.0.2.1`) is compared as IPv4.
 */
import { ipv6Groups } from "../sys/sockaddr.ts";

interface Ipv4Network {
  readonly address: number;
  readonly mask: number;
}

interface Ipv6Network {
  readonly groups: readonly number[];
  readonly prefixBits: number;
}

export class CidrSet {
  readonly #ipv4: Ipv4Network[] = [];
  readonly #ipv6: Ipv6Network[] = [];

  constructor(networks: readonly string[]) {
    for (const network of networks) {
      const [host = "", bits] = network.split("/");
      if (host.includes(":"))
        this.#ipv6.push({ groups: ipv6Groups(host), prefixBits: bits === undefined ? 128 : Number(bits) });
      else {
        const prefixBits = bits === undefined ? 32 : Number(bits);
        const mask = prefixBits === 0 ? 0 : (-1 << (32 - prefixBits)) | 0;
        this.#ipv4.push({ address: ipv4Number(host) & mask, mask });
      }
    }
  }

  get isEmpty(): boolean {
    return this.#ipv4.length === 0 && this.#ipv6.length === 0;
  }

  /** `address` as a 32-bit integer, first octet highest. */
  hasIpv4(address: number): boolean {
    for (const network of this.#ipv4) if ((address & network.mask) === network.address) return true;
    return false;
  }

  hasText(host: string): boolean {
    if (!host.includes(":")) return host.includes(".") && this.hasIpv4(ipv4Number(host));
    const groups = ipv6Groups(host);
    return this.#ipv6.some((network) => isWithin(groups, network));
  }
}

function ipv4Number(host: string): number {
  return host.split(".").reduce((number, octet) => (number << 8) | Number(octet), 0);
}

function isWithin(groups: readonly number[], network: Ipv6Network): boolean {
  for (let bit = 0; bit < network.prefixBits; bit += 16) {
    const bits = Math.min(16, network.prefixBits - bit);
    const mask = (0xffff << (16 - bits)) & 0xffff;
    if (((groups[bit >> 4]! ^ network.groups[bit >> 4]!) & mask) !== 0) return false;
  }
  return true;
}
