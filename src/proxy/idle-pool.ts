/**
 * The idle persistent connections of one upstream pool in one worker. Pure: it keeps objects in order and knows neither
 * sockets nor time. The proxy checks a connection in when a response is complete, and out for the next request to that server.
 *
 *  - Out: per server, last in first out. The connection used last is the one least likely to have been closed by
 *    the server or forgotten by a middlebox, and the surplus ones age until they are retired.
 *  - In: when the pool holds `capacity` connections over all servers, the one that has been idle longest of all is
 *    evicted, as with nginx's `keepalive`.
 *
 * One array per server, used as a stack: in and out touch nothing but its end. The oldest of all is at the bottom of one of the
 * stacks. Removal from the middle (a FIN arrived) searches its stack; a server closes its oldest connections first, so that
 * is usually one step. (Linked lists would make removal O(1), and write into other connections on every request.)
 */

/** What a connection must carry. The fields belong to the pool; initialize them with -1. */
export interface IdleConnection {
  /** Index of the server while the connection is in the pool, -1 otherwise. */
  idleBackendIndex: number;
  /** Order of arrival in the pool. */
  idleSequence: number;
}

export class IdlePool<T extends IdleConnection> {
  readonly capacity: number;
  #size = 0;
  #lastSequence = 0;
  /** By server, oldest first. */
  readonly #stacks: T[][];

  constructor(capacity: number, backendCount: number) {
    this.capacity = capacity;
    this.#stacks = Array.from({ length: backendCount }, () => []);
  }

  get size(): number {
    return this.#size;
  }

  sizeOf(backendIndex: number): number {
    return this.#stacks[backendIndex]!.length;
  }

  /** The connection that has been idle longest. */
  oldest(): T | undefined {
    let oldest: T | undefined;
    for (const stack of this.#stacks) {
      const candidate = stack[0];
      if (candidate === undefined) continue;
      if (oldest === undefined || candidate.idleSequence < oldest.idleSequence) oldest = candidate;
    }
    return oldest;
  }

  /** The connection to this server that has been idle longest: the next one to retire by its idle limit. */
  oldestOf(backendIndex: number): T | undefined {
    return this.#stacks[backendIndex]![0];
  }

  /**
   * Adds a connection as the newest.
   * @returns the connection that has to be closed to make room: the oldest one, or `connection` itself when the pool keeps none
   */
  checkIn(connection: T, backendIndex: number): T | undefined {
    if (connection.idleBackendIndex !== -1) throw new Error("an idle connection was checked in twice");
    if (this.capacity === 0) return connection;
    const evicted = this.#size >= this.capacity ? this.oldest() : undefined;
    if (evicted !== undefined) this.remove(evicted);
    connection.idleBackendIndex = backendIndex;
    connection.idleSequence = ++this.#lastSequence;
    this.#stacks[backendIndex]!.push(connection);
    this.#size++;
    return evicted;
  }

  /** Takes out the connection to this server that was used last; undefined when there is none. */
  checkOut(backendIndex: number): T | undefined {
    const connection = this.#stacks[backendIndex]!.pop();
    if (connection === undefined) return undefined;
    connection.idleBackendIndex = -1;
    this.#size--;
    return connection;
  }

  /** Takes a connection out wherever it is; false when it was not in the pool. */
  remove(connection: T): boolean {
    const backendIndex = connection.idleBackendIndex;
    if (backendIndex === -1) return false;
    const stack = this.#stacks[backendIndex]!;
    stack.splice(stack.indexOf(connection), 1);
    connection.idleBackendIndex = -1;
    this.#size--;
    return true;
  }
}
