/**
 * `on_idle: silent`: a session is forgotten as a session table forgets it. Neither end is told; whoever speaks next is answered with
 * RST, and the other end learns nothing at all.
 *
 * A TCP socket cannot be closed without a packet, with one exception: in repair mode (TCP_REPAIR, tcp(7): Linux 3.5, needs
 * CAP_NET_ADMIN) the kernel drops it without a word, and from then on answers whatever comes for it with RST. That is the real
 * thing, keepalive probes of the ends included: they are answered with RST, too.
 *
 * A worker without that capability keeps both sockets, unread, with its own probes off, and closes each with RST when it becomes
 * readable. Two differences remain: the kernel still acknowledges the ends' keepalive probes (they see no fault until they send
 * payload), and the sockets cost descriptors. Bounds: GRAVES_MAX sockets, GRAVE_MS each, fewer when descriptors run out; what must
 * go early is closed with RST, oldest first.
 */
import type { EventHandler, Reactor } from "../reactor/reactor.ts";
import { Timed } from "../reactor/timer-wheel.ts";
import { EPOLLIN, EPOLLRDHUP } from "../sys/epoll.ts";
import { setRepairMode, setResetOnClose, setTcpKeepalive, setTcpUserTimeout } from "../sys/socket-options.ts";
import { getTcpInfo } from "../sys/tcp-info.ts";

const PROBES_OFF = {
  enabled: false,
  idleSeconds: undefined,
  intervalSeconds: undefined,
  probeCount: undefined,
};
const GRAVES_MAX = 8192;
const GRAVE_MS = 3_600_000;

export class Graveyard {
  readonly reactor: Reactor;
  /** In the order of burial. */
  readonly #graves = new Set<Grave>();
  readonly #mayRepair: boolean;

  /** `mayRepair` false: as without CAP_NET_ADMIN. */
  constructor(reactor: Reactor, mayRepair = true) {
    this.reactor = reactor;
    this.#mayRepair = mayRepair;
  }

  get size(): number {
    return this.#graves.size;
  }

  /** Takes a registered descriptor over. */
  bury(fd: number): void {
    const { reactor } = this;
    if (this.#mayRepair && setRepairMode(fd)) {
      reactor.close(fd);
      return;
    }
    reactor.unregister(fd);
    if (this.#graves.size >= GRAVES_MAX) this.evict(1);
    const grave = new Grave(fd, this);
    if (reactor.tryRegister(fd, EPOLLIN | EPOLLRDHUP, grave) < 0) grave.close();
    else this.#graves.add(grave);
  }

  /** Closes the oldest, to make room. */
  evict(count: number): void {
    for (const grave of this.#graves) {
      if (count-- <= 0) return;
      grave.close();
    }
  }

  forget(grave: Grave): void {
    this.#graves.delete(grave);
  }
}

/** One socket of a forgotten session. */
class Grave extends Timed implements EventHandler {
  readonly #fd: number;
  readonly #graveyard: Graveyard;

  constructor(fd: number, graveyard: Graveyard) {
    super();
    this.#fd = fd;
    this.#graveyard = graveyard;
    // Our own probes would be packets.
    setTcpKeepalive(fd, PROBES_OFF);
    const isTcp = getTcpInfo(fd) !== undefined;
    if (isTcp) setTcpUserTimeout(fd, 0);
    graveyard.reactor.timers.arm(this, GRAVE_MS);
  }

  /** Payload or FIN, both are segments of a session nobody knows; after RST, closing sends nothing. */
  handleEvents(): void {
    this.close();
  }

  override handleTimeout(): void {
    this.close();
  }

  close(): void {
    const { reactor } = this.#graveyard;
    this.#graveyard.forget(this);
    reactor.timers.remove(this);
    setResetOnClose(this.#fd);
    reactor.close(this.#fd);
  }
}
