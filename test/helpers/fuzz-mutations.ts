/** Inputs made from inputs: bytes and words moved about, and JSON changed as a tree; the same dice give the same input. */

/** Numbers from 0 to below 1 by a seed (mulberry32). */
export type Dice = () => number

export function diceOf(seed: number): Dice {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

export interface Pantry {
  /** Words of the format. */
  readonly words: readonly Buffer[]
  /** Other inputs, to take pieces of. */
  readonly others: readonly Buffer[]
  readonly maxSize: number
}

const BYTES = [0, 1, 0x0a, 0x20, 0x22, 0x2d, 0x2e, 0x2f, 0x30, 0x39, 0x5c, 0x7f, 0x80, 0xc3, 0xff]
const NUMBERS = [
  ...['0', '-1', '1', '00', '1.5', '1e3', '1e400', '4294967296', '9007199254740993', '-0'],
  ...['9223372036854775808', '0x10', 'NaN', '', '77777777777', '18446744073709551616'],
]
/** Headers, footers and tars come in blocks of this size. */
const BLOCK = 512
const MAX_STEPS = 6

/** A few changes on top of each other. */
export function mutate(input: Buffer, pantry: Pantry, dice: Dice): Buffer {
  let bytes: Buffer = Buffer.from(input)
  for (let steps = 1 + pick(dice, MAX_STEPS); steps > 0; steps -= 1) {
    const tree = dice() < 0.5 ? parse(bytes) : undefined
    bytes = tree === undefined ? change(bytes, pantry, dice) : changeTree(tree, pantry, dice)
  }
  return bytes.subarray(0, pantry.maxSize)
}

function pick(dice: Dice, below: number): number {
  return Math.floor(dice() * below)
}

function choose<T>(dice: Dice, list: readonly T[]): T | undefined {
  return list[pick(dice, list.length)]
}

function change(bytes: Buffer, { words, others }: Pantry, dice: Dice): Buffer {
  const at = pick(dice, bytes.length + 1)
  const length = 1 + pick(dice, dice() < 0.8 ? 8 : bytes.length + 1)
  const piece = Buffer.from(bytes.subarray(at, at + length))
  const into = (more: Buffer, skip = 0) =>
    Buffer.concat([bytes.subarray(0, at), more, bytes.subarray(at + skip)])
  const word = choose(dice, words) ?? Buffer.from(choose(dice, NUMBERS) ?? '')
  switch (pick(dice, 12)) {
    case 0:
      return into(
        Buffer.from(piece.map((byte, i) => (i === 0 ? byte ^ (1 << pick(dice, 8)) : byte))),
        length,
      )
    case 1:
      return into(Buffer.of(choose(dice, BYTES) ?? 0), 1)
    case 2:
      return into(Buffer.of(pick(dice, 256)))
    case 3:
      return into(Buffer.alloc(0), length)
    case 4:
      return into(Buffer.concat([piece, piece]), length)
    case 5:
      return into(word)
    case 6:
      return into(word, word.length)
    case 7:
      return changeNumber(bytes, dice)
    case 8:
      return splice(bytes, choose(dice, others) ?? bytes, dice)
    case 9:
      return bytes.subarray(0, at)
    case 10:
      return moveBlock(bytes, dice)
    default:
      return into(Buffer.alloc(length, choose(dice, BYTES)), dice() < 0.5 ? length : 0)
  }
}

/** One run of digits becomes a number that somebody gets wrong. */
function changeNumber(bytes: Buffer, dice: Dice): Buffer {
  const text = bytes.toString('latin1')
  const found = choose(dice, [...text.matchAll(/\d+/g)])
  if (found === undefined) return bytes
  const before = text.slice(0, found.index)
  const after = text.slice(found.index + found[0].length)
  return Buffer.from(`${before}${choose(dice, NUMBERS)}${after}`, 'latin1')
}

function splice(bytes: Buffer, other: Buffer, dice: Dice): Buffer {
  return Buffer.concat([
    bytes.subarray(0, pick(dice, bytes.length + 1)),
    other.subarray(pick(dice, other.length + 1)),
  ])
}

function moveBlock(bytes: Buffer, dice: Dice): Buffer {
  const blocks = Math.ceil(bytes.length / BLOCK)
  const block = (i: number) => bytes.subarray(i * BLOCK, (i + 1) * BLOCK)
  const order = Array.from({ length: blocks }, (_, i) => i)
  const [moved = 0] = order.splice(pick(dice, blocks), 1)
  order.splice(pick(dice, blocks), 0, ...([[], [moved], [moved, moved]][pick(dice, 3)] ?? []))
  return Buffer.concat(order.map(block))
}

// ------------------------------------------------------------------------------------------------ trees

type Tree = Record<string, unknown> | unknown[]

function parse(bytes: Buffer): Tree | undefined {
  try {
    const value: unknown = JSON.parse(bytes.toString())
    return typeof value === 'object' && value !== null ? (value as Tree) : undefined
  } catch {
    return undefined
  }
}

/** One value somewhere is another, is gone, or stands under another key as well. */
function changeTree(tree: Tree, { words, others }: Pantry, dice: Dice): Buffer {
  const places = placesOf(tree)
  const place = choose(dice, places)
  if (place !== undefined) {
    const { parent, key } = place
    const donor = choose(dice, places)
    const foreign = choose(dice, placesOf(parse(choose(dice, others) ?? Buffer.alloc(0)) ?? []))
    const values: unknown[] = [
      ...[null, true, 0, -1, 1.5, 2 ** 53, 1e300, '', 'x', [], {}, [null], { '': null }],
      ...[String(choose(dice, words) ?? ''), valueAt(donor), valueAt(foreign), valueAt(donor)],
    ]
    const value = structuredClone(choose(dice, values))
    const action = pick(dice, 4)
    if (action === 0 && Array.isArray(parent)) parent.splice(Number(key), 1)
    else if (action === 0) delete (parent as Record<string, unknown>)[key]
    else if (action === 1 && Array.isArray(parent)) parent.push(value)
    else if (action === 1) set(parent, String(donor?.key ?? 'x'), value)
    else set(parent, key, value)
  }
  return Buffer.from(JSON.stringify(tree))
}

interface Place {
  readonly parent: Tree
  readonly key: string
}

function placesOf(tree: Tree): Place[] {
  const found: Place[] = []
  const visit = (parent: Tree, depth: number) => {
    for (const [key, value] of Object.entries(parent)) {
      found.push({ parent, key })
      if (typeof value === 'object' && value !== null && depth < 12) visit(value as Tree, depth + 1)
    }
  }
  visit(tree, 0)
  return found
}

function valueAt(place: Place | undefined): unknown {
  return place && (place.parent as Record<string, unknown>)[place.key]
}

function set(parent: Tree, key: string, value: unknown): void {
  Object.defineProperty(parent, key, {
    value,
    enumerable: true,
    writable: true,
    configurable: true,
  })
}
