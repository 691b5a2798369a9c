import { Buffer } from "node:buffer"

const chunksMax = 64

/**
 * The last bytes of a byte stream.
 *
 * Holds at most twice `maxBytes` and one chunk, in at most 64 pieces, however much is pushed.
 */
export class OutputTail {
  readonly maxBytes: number
  #chunks: Array<Buffer> = []
  #heldBytes = 0
  #receivedBytes = 0

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes
  }

  /** Whether bytes were pushed that `text` no longer shows. */
  get truncated(): boolean {
    return this.#receivedBytes > this.maxBytes
  }

  /** How many bytes were pushed, kept or not. */
  get receivedBytes(): number {
    return this.#receivedBytes
  }

  /** Appends a chunk and drops from the front what the bound no longer covers. */
  push(chunk: Buffer): void {
    this.#chunks.push(chunk)
    this.#heldBytes += chunk.length
    this.#receivedBytes += chunk.length
    this.#dropFront()
    if (this.#chunks.length > chunksMax) this.#merge()
  }

  /** Decodes what is held as UTF-8, malformed bytes as U+FFFD, never starting inside a character that the bound cut. */
  text(): string {
    const bytes = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks)
    if (!this.truncated) return bytes.toString("utf8")
    const last = bytes.subarray(bytes.length - this.maxBytes)
    return last.toString("utf8", characterStart(last))
  }

  #dropFront(): void {
    for (let first = this.#chunks[0]; first !== undefined; first = this.#chunks[0]) {
      if (this.#heldBytes - first.length < this.maxBytes) return
      this.#chunks.shift()
      this.#heldBytes -= first.length
    }
  }

  #merge(): void {
    const merged = Buffer.concat(this.#chunks)
    this.#chunks = [merged.subarray(Math.max(0, merged.length - this.maxBytes))]
    this.#heldBytes = this.#chunks[0]!.length
  }
}

/**
 * The offset of the first byte that can begin a character: past at most three continuation bytes.
 *
 * **Source** RFC 3629, section 3: a character is one to four octets, those after the first are `10xxxxxx`.
 */
const characterStart = (bytes: Buffer): number => {
  let offset = 0
  while (offset < 3 && offset < bytes.length && (bytes[offset]! & 0xc0) === 0x80) offset++
  return offset
}
