/**
 * The loops of klauspost's search as WebAssembly: they hash seven bytes at every place, which takes 64-bit products, and
 * JavaScript would need twice the time.
 */
import { assemble, I32, type WasmFunction } from '../../../lib/wasm.ts'
import { alikeCode, enterCode, settleCode } from './window-code.ts'
import { findCode } from './window-find-code.ts'
import { BYTES, FOUND, SHORT } from './window-tables.ts'

const PAGE = 64 * 1024

/** In the order that ALIKE and SETTLE speak of. */
const FUNCTIONS = [
  { name: 'alike', parameters: 3, ints: 1, longs: 1, code: alikeCode },
  { name: 'settle', parameters: 6, ints: 3, longs: 0, code: settleCode },
  { name: 'find', parameters: 4, ints: 12, longs: 1, code: findCode },
  { name: 'enter', parameters: 3, ints: 2, longs: 1, code: enterCode },
] as const

export interface WindowLoops {
  /** Both tables, entry by entry. */
  readonly tables: Int32Array
  /** The bytes, from the address BYTES on. */
  readonly bytes: Uint8Array
  /** Length and distance of what was found last, and where the search would have gone on. */
  readonly found: Int32Array
  /** Searches from `at` on; bytes without a token begin at `from`. Returns where a match begins, or -1. */
  find(at: number, from: number, end: number, base: number): number
  /** Enters the bytes of a match thinly, and that before `at`, which follows it. */
  enter(at: number, length: number, base: number): number
}

interface Exports extends Pick<WindowLoops, 'find' | 'enter'> {
  readonly memory: { readonly buffer: ArrayBuffer }
}

/** By the size that they are for. */
const compiled = new Map<number, WebAssembly.Module>()

/** Loops with tables of their own, for so many bytes. */
export function createWindowLoops(size: number): WindowLoops {
  const module = compiled.get(size) ?? new WebAssembly.Module(moduleBytes(size))
  compiled.set(size, module)
  const { exports } = new WebAssembly.Instance(module)
  const { memory, find, enter } = exports as unknown as Exports
  return {
    tables: new Int32Array(memory.buffer, SHORT, FOUND / 4),
    bytes: new Uint8Array(memory.buffer, BYTES),
    found: new Int32Array(memory.buffer, FOUND, 3),
    find,
    enter,
  }
}

function moduleBytes(size: number): Uint8Array<ArrayBuffer> {
  const functions = FUNCTIONS.map(
    ({ parameters, code, ...rest }): WasmFunction => ({
      ...rest,
      parameters: Array.from({ length: parameters }, () => I32),
      result: I32,
      code: code(),
    }),
  )
  const pages = Math.ceil((BYTES + size) / PAGE)
  return assemble(functions, [], { name: 'memory', pages })
}
