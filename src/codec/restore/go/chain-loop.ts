/**
 * The search of `chain.ts` as WebAssembly, since it is what restoring takes longest for. test/helpers/plain-go-chain.ts says the same as a
 * plain loop.
 */
import { assemble, I32, LazyModule } from '../../../lib/wasm.ts'
import type { TokenLoop } from '../loop-runs.ts'
import { PLAIN_SIZE } from '../plain-window.ts'
import {
  BYTES,
  CHAIN_NUMBERS,
  type ChainNumber,
  HEADS,
  LINKS,
  MAX_TOKENS,
  TOKENS,
} from './chain-memory.ts'
import { RUN_INTS, runCode } from './chain-run-code.ts'
import {
  ENTER_INTS,
  enterCode,
  SEARCH_INTS,
  SEARCH_LONGS,
  searchCode,
} from './chain-search-code.ts'

const PAGE = 64 * 1024

export interface ChainLoop extends TokenLoop {
  readonly numbers: Readonly<Record<ChainNumber, { value: number }>>
  /** By hash. */
  readonly places: Int32Array
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
    places: new Int32Array(buffer, HEADS, (LINKS - HEADS) >> 2),
    tokens: new Uint32Array(buffer, TOKENS, MAX_TOKENS),
    bytes: new Uint8Array(buffer, BYTES),
  }
}

function moduleBytes(): Uint8Array<ArrayBuffer> {
  const three = [I32, I32, I32]
  return assemble(
    [
      {
        ...{ name: 'run', parameters: three, result: I32 },
        ...{ ints: RUN_INTS, longs: 0, code: runCode() },
      },
      {
        ...{ name: 'search', parameters: three, result: I32 },
        ...{ ints: SEARCH_INTS, longs: SEARCH_LONGS, code: searchCode() },
      },
      {
        ...{ name: 'enter', parameters: [I32, I32], result: I32 },
        ...{ ints: ENTER_INTS, longs: 0, code: enterCode() },
      },
    ],
    CHAIN_NUMBERS,
    { name: 'memory', pages: Math.ceil((BYTES + PLAIN_SIZE) / PAGE) },
  )
}
