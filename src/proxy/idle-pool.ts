/**
 * The idle persistent connections of one upstream pool in one worker. Pure: it links objects and knows neither sockets
 * nor time. The proxy checks a connection in when a response is complete, and out for the next request to that server.
 *
 *  - Out: per server, last in first out. The connection used last is the one least likely to have been closed by
 *    the server or forgotten by a middlebox, and the surplus ones age until they are retired.
 *  - In: when the pool holds `capacity` connections over all servers, the one that has been idle longest of all is
 *    evicted, as with nginx's `keepalive`.
 *
 * Both orders are intrusive doubly linked lists: the links are fields of the connection, so that check-in, check-out and removal
 * from the middle (a FIN arrived) are O(1) and allocate nothing. (nginx searches its list for the server's address.)
 */

/** What a connection must carry. The fields belong to the pool; initialize them with undefined and -1. */
export interface IdleConnection {
  /** Neighbours in the order of all idle connections of the pool, older and newer. */
  idlePrev: IdleConnection | undefined;
  idleNext: IdleConnection | undefined;
  /** Neighbours among the idle connections of the same server, older and newer. */
  serverPrev: IdleConnection | undefined;
  serverNext: IdleConnection | undefined;
  /** Index of the server while the connection is in the pool, -1 otherwise. */
  idleBackendIndex: number;
}

export class IdlePool<T extends IdleConnection> {
  readonly capacity: number;
  #size = 0;
  #oldest: T | undefined = undefined;
  #newest: T | undefined = undefined;
  readonly #sizes: Int32Array;
  readonly #oldestOf: (T | undefined)[];
  readonly #newestOf: (T | undefined)[];

  constructor(capacity: number, backendCount: number) {
    this.capacity = capacity;
    this.#sizes = new Int32Array(backendCount);
    this.#oldestOf = new Array<T | undefined>(backendCount).fill(undefined);
    this.#newestOf = new Array<T | undefined>(backendCount).fill(undefined);
  }

  get size(): number {
    return this.#size;
  }

  sizeOf(backendIndex: number): number {
    return this.#sizes[backendIndex]!;
  }

  /** The connection that has been idle longest. */
  oldest(): T | undefined {
    return this.#oldest;
  }

  /** The connection to this server that has been idle longest: the next one to retire by its idle limit. */
  oldestOf(backendIndex: number): T | undefined {
    return this.#oldestOf[backendIndex];
  }

  /**
   * Adds a connection as the newest.
   * @returns the connection that has to be closed to make room: the oldest one, or `connection` itself when the pool keeps none
   */
  checkIn(connection: T, backendIndex: number): T | undefined {
    if (connection.idleBackendIndex !== -1) throw new Error("an idle connection was checked in twice");
    if (this.capacity === 0) return connection;
    const evicted = this.#size >= this.capacity ? this.#oldest : undefined;
    if (evicted !== undefined) this.remove(evicted);

    connection.idleBackendIndex = backendIndex;
    connection.idlePrev = this.#newest;
    if (this.#newest === undefined) this.#oldest = connection;
    else this.#newest.idleNext = connection;
    this.#newest = connection;

    const newestOf = this.#newestOf[backendIndex];
    connection.serverPrev = newestOf;
    if (newestOf === undefined) this.#oldestOf[backendIndex] = connection;
    else newestOf.serverNext = connection;
    this.#newestOf[backendIndex] = connection;

    this.#size++;
    this.#sizes[backendIndex]!++;
    return evicted;
  }

  /** Takes out the connection to this server that was used last; undefined when there is none. */
  checkOut(backendIndex: number): T | undefined {
    const connection = this.#newestOf[backendIndex];
    if (connection !== undefined) this.remove(connection);
    return connection;
  }

  /** Takes a connection out wherever it is; false when it was not in the pool. */
  remove(connection: T): boolean {
    const backendIndex = connection.idleBackendIndex;
    if (backendIndex === -1) return false;
    const { idlePrev, idleNext, serverPrev, serverNext } = connection;

    if (idlePrev === undefined) this.#oldest = idleNext as T | undefined;
    else idlePrev.idleNext = idleNext;
    if (idleNext === undefined) this.#newest = idlePrev as T | undefined;
    else idleNext.idlePrev = idlePrev;

    if (serverPrev === undefined) this.#oldestOf[backendIndex] = serverNext as T | undefined;
    else serverPrev.serverNext = serverNext;
    if (serverNext === undefined) this.#newestOf[backendIndex] = serverPrev as T | undefined;
    else serverNext.serverPrev = serverPrev;

    connection.idlePrev = undefined;
    connection.idleNext = undefined;
    connection.serverPrev = undefined;
    connection.serverNext = undefined;
    connection.idleBackendIndex = -1;
    this.#size--;
    this.#sizes[backendIndex]!--;
    return true;
  }
}
