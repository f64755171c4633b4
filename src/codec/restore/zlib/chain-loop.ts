/**
 * The search of `matcher.ts` as WebAssembly, since it is what restoring takes longest for. test/helpers/plain-zlib-matcher.ts says the
 * same as plain loops.
 */
import { assemble, I32, LazyModule } from '../../../lib/wasm.ts'
import type { TokenLoop } from '../loop-runs.ts'
import { PLAIN_SIZE } from '../plain-window.ts'
import { INSERT_INTS, insertCode } from './chain-insert-code.ts'
import {
  BYTES,
  CHAIN_NUMBERS,
  type ChainNumber,
  HASH_SIZE,
  HEADS,
  LONG_HASH_BITS,
  LONG_HEADS,
  LONGEST_HEADS,
  MAX_TOKENS,
  TOKENS,
} from './chain-memory.ts'
import { RUN_INTS, runCode } from './chain-run-code.ts'
import { SEARCH_INTS, SEARCH_LONGS, searchCode } from './chain-search-code.ts'

const PAGE = 64 * 1024

export interface ChainLoop extends TokenLoop {
  readonly numbers: Readonly<Record<ChainNumber, { value: number }>>
  /** By hash, each second one a place, the others how many there were. */
  readonly heads: Int32Array
  /** Places by the longer hashes. */
  readonly longHeads: readonly Int32Array[]
}

interface Exports extends Readonly<Record<ChainNumber, { value: number }>> {
  readonly memory: { readonly buffer: ArrayBuffer }
  readonly run: ChainLoop['run']
}

const COMPILED = new LazyModule(moduleBytes)

/** With memory of its own. */
export function openChainLoop(): ChainLoop {
  const { exports } = new WebAssembly.Instance(COMPILED.module)
  const found = exports as unknown as Exports
  const { buffer } = found.memory
  return {
    numbers: found,
    run: found.run,
    heads: new Int32Array(buffer, HEADS, 2 * HASH_SIZE),
    longHeads: [LONG_HEADS, LONGEST_HEADS].map(
      (at) => new Int32Array(buffer, at, 1 << LONG_HASH_BITS),
    ),
    tokens: new Uint32Array(buffer, TOKENS, MAX_TOKENS),
    bytes: new Uint8Array(buffer, BYTES),
  }
}

function moduleBytes(): Uint8Array<ArrayBuffer> {
  const [two, three] = [
    [I32, I32],
    [I32, I32, I32],
  ]
  const result = I32
  return assemble(
    [
      { name: 'run', parameters: three, result, ints: RUN_INTS, longs: 0, code: runCode() },
      { name: 'insert', parameters: two, result, ints: INSERT_INTS, longs: 0, code: insertCode() },
      {
        ...{ name: 'search', parameters: three, result },
        ...{ ints: SEARCH_INTS, longs: SEARCH_LONGS, code: searchCode() },
      },
    ],
    CHAIN_NUMBERS,
    { name: 'memory', pages: Math.ceil((BYTES + PLAIN_SIZE) / PAGE) },
  )
}
