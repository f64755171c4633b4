/** Just enough of WebAssembly's binary format (core specification, section 5) to write a few tight loops in. */

export const I32 = 0x7f
export const I64 = 0x7e

/** Instructions without operands of their own; `_LONG` is of 64 bits. */
export const OP = {
  ELSE: 0x05,
  RETURN: 0x0f,
  /** The first of two values if what follows is true, else the second. */
  SELECT: 0x1b,
  IS_ZERO: 0x45,
  EQ: 0x46,
  NE: 0x47,
  LT_SIGNED: 0x48,
  LT: 0x49,
  GT_SIGNED: 0x4a,
  GT: 0x4b,
  LE_SIGNED: 0x4c,
  GE_SIGNED: 0x4e,
  GE: 0x4f,
  ADD: 0x6a,
  SUB: 0x6b,
  MULTIPLY: 0x6c,
  AND: 0x71,
  OR: 0x72,
  XOR: 0x73,
  SHIFT_LEFT: 0x74,
  SHIFT_RIGHT: 0x76,
  ROTATE_LEFT: 0x77,
  NE_LONG: 0x52,
  TRAILING_ZEROS_LONG: 0x7a,
  MULTIPLY_LONG: 0x7e,
  XOR_LONG: 0x85,
  SHIFT_LEFT_LONG: 0x86,
  SHIFT_RIGHT_LONG: 0x88,
  WRAP: 0xa7,
} as const

const VOID = 0x40
const END = 0x0b

/** A function: its type, its locals beside the parameters (first those of 32 bits, then those of 64), its instructions. */
export interface WasmFunction {
  readonly name: string
  readonly parameters: readonly number[]
  readonly result: number
  readonly ints: number
  readonly longs: number
  readonly code: Code
}

const EXPORT_FUNCTION = 0
const EXPORT_MEMORY = 2
const EXPORT_GLOBAL = 3

/** Compiled when it is first wanted, once: whoever never restores a layer does not wait for it. */
export class LazyModule {
  readonly #bytes: () => Uint8Array<ArrayBuffer>
  #module: WebAssembly.Module | undefined

  constructor(bytes: () => Uint8Array<ArrayBuffer>) {
    this.#bytes = bytes
  }

  get module(): WebAssembly.Module {
    this.#module ??= new WebAssembly.Module(this.#bytes())
    return this.#module
  }
}

/** A module that exports its functions, its globals (of 32 bits, beginning at 0) and its memory under their names. */
export function assemble(
  functions: readonly WasmFunction[],
  globals: readonly string[],
  memory: { readonly name: string; readonly pages: number },
): Uint8Array<ArrayBuffer> {
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(1, functions.map(typeOf)),
    ...section(
      3,
      [...functions.keys()].map((index) => [index]),
    ),
    ...section(5, [[0, memory.pages]]),
    ...section(
      6,
      globals.map(() => [I32, 1, ...int(0), END]),
    ),
    ...section(7, [
      ...functions.map(({ name }, index) => exported(name, EXPORT_FUNCTION, index)),
      ...globals.map((name, index) => exported(name, EXPORT_GLOBAL, index)),
      exported(memory.name, EXPORT_MEMORY, 0),
    ]),
    ...section(
      10,
      functions.map(({ ints, longs, code }) =>
        sized([2, ...leb(ints), I32, ...leb(longs), I64, ...code.flat(), END]),
      ),
    ),
  ])
}

/** Instructions, single ones as their opcode. */
export type Code = readonly (number | readonly number[])[]

export const get = (local: number) => [0x20, local]
export const set = (local: number) => [0x21, local]
export const tee = (local: number) => [0x22, local]
export const int = (value: number) => [0x41, ...signedLeb(BigInt(value | 0))]
export const long = (value: number | bigint) => [0x42, ...signedLeb(BigInt(value))]
/** The address is on the stack, the offset is added to it. */
export const loadInt = (offset: number) => [0x28, 0, ...leb(offset)]
export const loadLong = (offset: number) => [0x29, 0, ...leb(offset)]
/** Of 16 bits, without a sign. */
export const loadShort = (offset: number) => [0x2f, 0, ...leb(offset)]
export const loadByte = (offset: number) => [0x2d, 0, ...leb(offset)]
export const loadByteAsLong = (offset: number) => [0x31, 0, ...leb(offset)]
/** The address is on the stack, and the value above it. */
export const storeInt = (offset: number) => [0x36, 0, ...leb(offset)]
export const storeShort = (offset: number) => [0x3b, 0, ...leb(offset)]
export const call = (index: number) => [0x10, index]
export const getGlobal = (index: number) => [0x23, index]
export const setGlobal = (index: number) => [0x24, index]
/** Out of so many blocks and loops around, or to the start of a loop. */
export const branch = (depth: number) => [0x0c, depth]
export const branchIf = (depth: number) => [0x0d, depth]

/** What a branch out of it goes behind. */
export function block(code: Code): number[] {
  return [0x02, VOID, ...code.flat(), END]
}

/** Takes a condition from the stack. */
export function when(code: Code): number[] {
  return [0x04, VOID, ...code.flat(), END]
}

/** Goes on until its body branches out of 1; branch 0 begins it again. */
export function loop(body: Code): number[] {
  return block([[0x03, VOID, ...body.flat(), END]])
}

/** A number that is not negative in LEB128. */
export function leb(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...leb(value >> 7)]
}

function signedLeb(value: bigint): number[] {
  const low = Number(value & 0x7fn)
  const rest = value >> 7n
  const isLast = rest === (low & 0x40 ? -1n : 0n)
  return isLast ? [low] : [low | 0x80, ...signedLeb(rest)]
}

function typeOf({ parameters, result }: WasmFunction): number[] {
  return [0x60, parameters.length, ...parameters, 1, result]
}

function exported(name: string, kind: number, index: number): number[] {
  return [...sized([...Buffer.from(name)]), kind, index]
}

function section(id: number, items: readonly (readonly number[])[]): number[] {
  return [id, ...sized([...leb(items.length), ...items.flat()])]
}

function sized(bytes: readonly number[]): number[] {
  return [...leb(bytes.length), ...bytes]
}
