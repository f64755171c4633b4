/**
 * The two loops that see every byte of a zstd:chunked layer, CRC-64 and the rolling sum, as WebAssembly that is put together
 * here: JavaScript has no 64-bit integers and takes twice as long.
 */
import {
  assemble,
  block,
  branch,
  branchIf,
  type Code,
  get,
  getGlobal,
  I32,
  I64,
  int,
  loadByte,
  loadByteAsLong,
  loadLong,
  long,
  loop,
  OP,
  set,
  setGlobal,
  tee,
} from '../lib/wasm.ts'

/** Memory: eight tables of CRC-64, then the bytes under way, behind a window of those before them. */
const STEP = 8
const TABLE_SIZE = 256 * 8
const START = STEP * TABLE_SIZE
const WINDOW = 64
const WINDOW_LOG = 6
/** Bytes that are looked at in one go. */
const MAX_BYTES = 64 * 1024
const PAGES = 2

/** CRC-64/ISO, reflected. */
const POLYNOMIAL = 0xd8000000_00000000n

/** The rolling sum adds this to every byte. */
const OFFSET = 31

/** A cut follows where the low 16 bits of the sum are all ones. */
const SPLIT = 0xffff

interface Loops {
  readonly memory: { readonly buffer: ArrayBuffer }
  /** The sum after bytes from one address to another. */
  readonly crc: (from: number, to: number, crc: bigint) => bigint
  /** Adds bytes to the sums up to the next cut; the addresses are those of the bytes that leave the window. */
  readonly roll: (from: number, to: number) => number
  readonly s1: { value: number }
  readonly s2: { value: number }
}

const loops = load()
const memory = new Uint8Array(loops.memory.buffer)

/** Continues CRC-64 without the inversions before and after. */
export function crc64(bytes: Uint8Array, crc: bigint): bigint {
  let sum = crc
  for (let at = 0; at < bytes.byteLength; at += MAX_BYTES) {
    const part = bytes.subarray(at, at + MAX_BYTES)
    memory.set(part, START)
    sum = loops.crc(START, START + part.byteLength, sum)
  }
  return BigInt.asUintN(64, sum)
}

/** bup's and rsync's sum over the last bytes, with where it stands. */
export class RollingSum {
  #s1 = WINDOW * OFFSET
  #s2 = WINDOW * (WINDOW - 1) * OFFSET
  readonly #window = new Uint8Array(WINDOW)

  /** As after a window of zeros, which is also how it begins. */
  reset(): void {
    this.#s1 = WINDOW * OFFSET
    this.#s2 = WINDOW * (WINDOW - 1) * OFFSET
    this.#window.fill(0)
  }

  /** Calls `cut` with every index in `bytes` at which a chunk ends. */
  roll(bytes: Uint8Array, cut: (end: number) => void): void {
    for (let at = 0; at < bytes.byteLength; at += MAX_BYTES) {
      this.#rollPart(bytes.subarray(at, at + MAX_BYTES), at, cut)
    }
  }

  #rollPart(part: Uint8Array, base: number, cut: (end: number) => void): void {
    memory.set(this.#window, START)
    memory.set(part, START + WINDOW)
    loops.s1.value = this.#s1
    loops.s2.value = this.#s2
    const end = START + part.byteLength
    for (let at = START; at < end; ) {
      at = loops.roll(at, end)
      if ((loops.s2.value & SPLIT) === SPLIT) cut(base + at - START)
    }
    this.#s1 = loops.s1.value
    this.#s2 = loops.s2.value
    this.#window.set(memory.subarray(end, end + WINDOW))
  }
}

function load(): Loops {
  const crc = { name: 'crc', parameters: [I32, I32, I64], result: I64, ints: 0, longs: 1 }
  const roll = { name: 'roll', parameters: [I32, I32], result: I32, ints: 3, longs: 0 }
  const bytes = assemble(
    [
      { ...crc, code: crcCode() },
      { ...roll, code: rollCode() },
    ],
    ['s1', 's2'],
    { name: 'memory', pages: PAGES },
  )
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes))
  const found = exports as unknown as Loops
  fillTables(new BigUint64Array(found.memory.buffer, 0, STEP * 256))
  return found
}

/** What a byte does to the sum 0 to 7 bytes later. */
function fillTables(tables: BigUint64Array): void {
  for (let byte = 0; byte < 256; byte += 1) {
    let sum = BigInt(byte)
    for (let bit = 0; bit < 8; bit += 1) sum = (sum >> 1n) ^ (sum & 1n ? POLYNOMIAL : 0n)
    tables[byte] = sum
  }
  for (let i = 256; i < tables.length; i += 1) {
    const sum = tables[i - 256] ?? 0n
    tables[i] = (sum >> 8n) ^ (tables[Number(sum & 0xffn)] ?? 0n)
  }
}

/** Eight bytes a step, then those that are left. */
function crcCode(): Code {
  const [from, to, crc, x] = [0, 1, 2, 3]
  // An index into a table is a byte times eight.
  const first = [get(x), OP.WRAP, int(0xff), OP.AND, int(3), OP.SHIFT_LEFT]
  const indexOf = (byte: number) =>
    byte === 0
      ? first
      : [get(x), long(8 * byte - 3), OP.SHIFT_RIGHT_LONG, OP.WRAP, int(0xff << 3), OP.AND]
  const lookUp = (byte: number) => [...indexOf(byte), loadLong((STEP - 1 - byte) * TABLE_SIZE)]
  return [
    loop([
      ...[get(from), int(STEP), OP.ADD, get(to), OP.GT, branchIf(1)],
      ...[get(from), loadLong(0), get(crc), OP.XOR_LONG, set(x), ...lookUp(0)],
      ...[1, 2, 3, 4, 5, 6, 7].flatMap((byte) => [...lookUp(byte), OP.XOR_LONG]),
      ...[set(crc), get(from), int(STEP), OP.ADD, set(from), branch(0)],
    ]),
    loop([
      ...[get(from), get(to), OP.GE, branchIf(1)],
      ...[get(from), loadByteAsLong(0), get(crc), OP.XOR_LONG, set(x), ...first, loadLong(0)],
      ...[get(crc), long(8), OP.SHIFT_RIGHT_LONG, OP.XOR_LONG, set(crc)],
      ...[get(from), int(1), OP.ADD, set(from), branch(0)],
    ]),
    get(crc),
  ]
}

function rollCode(): Code {
  const [from, to, s1, s2, drop] = [0, 1, 2, 3, 4]
  // Leaves the block around the loops behind a cut.
  const step = [
    ...[get(s1), get(from), loadByte(WINDOW), get(from), loadByte(0), tee(drop), OP.SUB, OP.ADD],
    ...[tee(s1), get(drop), int(OFFSET), OP.ADD, int(WINDOW_LOG), OP.SHIFT_LEFT, OP.SUB],
    ...[get(s2), OP.ADD, set(s2), get(from), int(1), OP.ADD, set(from)],
    ...[get(s2), int(SPLIT), OP.AND, int(SPLIT), OP.EQ, branchIf(2)],
  ]
  return [
    ...[getGlobal(0), set(s1), getGlobal(1), set(s2)],
    block([
      loop([
        ...[get(from), int(STEP), OP.ADD, get(to), OP.GT, branchIf(1)],
        ...[...Array.from({ length: STEP }, () => step).flat(), branch(0)],
      ]),
      loop([get(from), get(to), OP.GE, branchIf(1), ...step, branch(0)]),
    ]),
    ...[get(s1), setGlobal(0), get(s2), setGlobal(1), get(from)],
  ]
}
