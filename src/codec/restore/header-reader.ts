/** Reads the header of a dynamic block that corrections bring, as strictly as one of a stream. */
import { BlockHeaders, type DynamicHeader } from '../inflate/block-header.ts'
import { InflateState } from '../inflate/state.ts'
import { damaged } from './failure.ts'

/** Bits of a block before its header: 0, not the last, and 2, dynamic. */
const TYPE_BITS = 3
const DYNAMIC = 2 << 1

export class HeaderReader {
  readonly #blocks = new BlockHeaders()
  readonly #state = new InflateState(false)

  read(bits: Uint8Array, bitCount: number): DynamicHeader {
    const state = this.#state
    state.at = 0
    state.hold = DYNAMIC
    state.bits = TYPE_BITS
    state.input = bits
    const header = this.#blocks.read(state)
    if (typeof header === 'string') throw damaged(header)
    const dynamic = this.#blocks.lastDynamic(state)
    if (dynamic.bitCount !== bitCount) throw damaged('a header is not as long as it says')
    return dynamic
  }
}
