/** Where an inflater stands between two symbols; plain fields, since its inner loop lives on them. */
import { DISTANCE_TABLE_SIZE, LITERAL_TABLE_SIZE } from './prefix-codes.ts'

/** How far back a match reaches. */
export const WINDOW_SIZE = 32 * 1024
/** Output that is made in one go, at most. */
export const OUTPUT_SIZE = 256 * 1024
/** Bytes from where a symbol's output begins that it may write to. */
const SYMBOL_OUTPUT = 258 + 8

export class InflateState {
  input: Uint8Array = new Uint8Array(0)
  /** The same bytes. */
  inputView: DataView = new DataView(new ArrayBuffer(0))
  /** The next byte of `input` to be taken. */
  at = 0
  /** Bits taken and not used, lowest first; none beyond them. */
  hold = 0
  /** How many, 0 to 31. */
  bits = 0
  /** A window, then what is new. */
  readonly output = new Uint8Array(WINDOW_SIZE + OUTPUT_SIZE + SYMBOL_OUTPUT)
  readonly outputView = new DataView(this.output.buffer)
  /** Where the next byte goes. */
  end = WINDOW_SIZE
  /** Where in `output` the oldest byte is that a match may reach. */
  floor = WINDOW_SIZE
  readonly literals = new Int32Array(LITERAL_TABLE_SIZE)
  readonly distances = new Int32Array(DISTANCE_TABLE_SIZE)
  /** Gets every symbol where somebody wants to know: a literal as it is, a match as `length << 16 | distance`. */
  readonly tokens: Uint32Array | undefined
  tokenCount = 0

  constructor(hasTokens: boolean) {
    this.tokens = hasTokens ? new Uint32Array(OUTPUT_SIZE + SYMBOL_OUTPUT) : undefined
  }

  /** The next few bits, 16 at most, which stay. */
  peek(count: number): number {
    while (this.bits < count) {
      this.hold |= (this.input[this.at] ?? 0) << this.bits
      this.at += 1
      this.bits += 8
    }
    return this.hold & ((1 << count) - 1)
  }

  /** The same, taken. */
  take(count: number): number {
    const value = this.peek(count)
    this.hold >>>= count
    this.bits -= count
    return value
  }

  /** Goes on with the next whole byte. */
  align(): void {
    this.at -= this.bits >> 3
    this.hold = 0
    this.bits = 0
  }
}
