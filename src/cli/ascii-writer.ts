/**
 * Text into a byte buffer, for answers of megabytes: strings of that size would first be put together from a million parts. ASCII only;
 * the caller escapes the rest. Pure: full buffers go to a function. Called by socket-report.ts.
 */
const ZERO = 0x30;

export class AsciiWriter {
  readonly #sink: (bytes: Uint8Array) => void;
  readonly #capacity: number;
  #bytes: Uint8Array;
  #length = 0;

  /** `sink` owns what it gets. */
  constructor(sink: (bytes: Uint8Array) => void, capacity = 1 << 18) {
    this.#sink = sink;
    this.#capacity = capacity;
    this.#bytes = new Uint8Array(capacity);
  }

  text(text: string): this {
    const bytes = this.#room(text.length);
    let at = this.#length;
    for (let index = 0; index < text.length; index++) bytes[at++] = text.charCodeAt(index);
    this.#length = at;
    return this;
  }

  /** Whole numbers digit by digit; others as JavaScript writes them. */
  number(value: number): this {
    if (!(value >= 0 && value <= 0x7fff_ffff) || (value | 0) !== value) return this.text(String(value));
    let digits = 1;
    for (let rest = value; rest >= 10; rest = (rest / 10) | 0) digits += 1;
    const bytes = this.#room(digits);
    let rest = value;
    for (let at = this.#length + digits - 1; at >= this.#length; at--) {
      const next = (rest / 10) | 0;
      bytes[at] = ZERO + rest - next * 10;
      rest = next;
    }
    this.#length += digits;
    return this;
  }

  flush(): void {
    if (this.#length === 0) return;
    this.#sink(this.#bytes.subarray(0, this.#length));
    this.#bytes = new Uint8Array(this.#capacity);
    this.#length = 0;
  }

  #room(length: number): Uint8Array {
    if (this.#length + length > this.#bytes.length) {
      this.flush();
      if (length > this.#bytes.length) this.#bytes = new Uint8Array(length);
    }
    return this.#bytes;
  }
}
