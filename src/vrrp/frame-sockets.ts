/**
 * One packet socket per interface that only sends, shared by the announcers of all virtual routers there. Opened with the first frame;
 * an interface that was deleted takes its socket along. Called by announcer.ts.
 */

import { SyscallError } from "../sys/errno.ts";
import { openPacketSocket, sendFrame } from "../sys/packet-socket.ts";
import { close } from "../sys/socket.ts";
import type { FrameSender } from "./announcer.ts";

export class FrameSockets {
  readonly #fds = new Map<number, number>();

  readonly send: FrameSender = (linkIndex, frame) => {
    try {
      const fd = this.#fds.get(linkIndex) ?? openPacketSocket({ ifindex: linkIndex, etherType: 0 });
      this.#fds.set(linkIndex, fd);
      const result = sendFrame(fd, frame);
      if (result < 0) this.#forget(linkIndex, fd);
      return result;
    } catch (error) {
      if (error instanceof SyscallError) return -error.errno;
      throw error;
    }
  };

  /** After an error the next frame gets a fresh socket: an index may belong to another interface by then. */
  #forget(linkIndex: number, fd: number): void {
    close(fd);
    this.#fds.delete(linkIndex);
  }
}
