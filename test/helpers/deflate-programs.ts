/** Deflate streams that no encoder would write: bytes read as a program of tokens, blocks, flushes and members. Every program gives a sound stream. */
import { BitWriter } from '../../src/codec/restore/bit-writer.ts'
import {
  countSymbols,
  DISTANCE_COUNT,
  END_OF_BLOCK,
  LITERAL_COUNT,
} from '../../src/codec/restore/symbols.ts'
import { zlibHeader } from '../../src/codec/restore/zlib/header.ts'
import { TreeBuilder } from '../../src/codec/restore/zlib/trees.ts'
import { memberOf } from './gzip-streams.ts'

const MAX_LENGTH = 258
const WINDOW_SIZE = 32_768
/** Of a program's output: matches make much of little. */
const MAX_PLAIN = 48 * 1024

export interface Written {
  readonly plain: Buffer
  readonly packed: Buffer
}

/** By the lower three bits of a byte; what it needs follows. */
const STEPS = [
  'literals',
  'literals',
  'match',
  'match',
  'again',
  'block',
  'flush',
  'member',
] as const

export function writeProgram(program: Uint8Array): Written {
  const writer = new ProgramWriter()
  let at = 0
  const next = () => program[at++] ?? 0
  while (at < program.length && writer.size < MAX_PLAIN) {
    const word = next()
    const count = word >> 3
    switch (STEPS[word & 7]) {
      case 'literals':
        for (let left = count; left >= 0; left -= 1) writer.literal(next())
        break
      case 'match':
        writer.match(3 + ((count + 8 * next()) % 256), 1 + (next() | (next() << 8)))
        break
      case 'again':
        for (let left = count * 8; left >= 0 && writer.size < MAX_PLAIN; left -= 1) writer.repeat()
        break
      case 'block':
        writer.endBlock(count)
        break
      case 'flush':
        writer.flush(count)
        break
      default:
        writer.endMember(count)
    }
  }
  writer.endMember(0)
  return { plain: Buffer.concat(writer.plains), packed: Buffer.concat(writer.members) }
}

class ProgramWriter {
  readonly plains: Buffer[] = []
  readonly members: Buffer[] = []
  readonly #trees = new TreeBuilder()
  #bits = new BitWriter()
  #deflated: Uint8Array[] = []
  #plain: number[] = []
  #blockAt = 0
  #tokens: number[] = []
  #sizeBefore = 0

  get size(): number {
    return this.#sizeBefore + this.#plain.length
  }

  literal(byte: number): void {
    this.#plain.push(byte)
    this.#tokens.push(byte)
  }

  /** As far back as there is anything; a literal where there is nothing. */
  match(length: number, distance: number): void {
    const reach = Math.min(distance, WINDOW_SIZE, this.#plain.length)
    if (reach === 0) {
      this.literal(distance & 0xff)
      return
    }
    const size = Math.min(length, MAX_LENGTH)
    for (let left = size; left > 0; left -= 1) {
      this.#plain.push(this.#plain[this.#plain.length - reach] ?? 0)
    }
    this.#tokens.push((size << 16) | reach)
  }

  /** The last token once more. */
  repeat(): void {
    const token = this.#tokens.at(-1) ?? 0
    if (token < 256) this.literal(token)
    else this.match(token >>> 16, token & 0xffff)
  }

  /** Whatever there is, none too, in a block of the kind that the lower bits say. */
  endBlock(kind: number, isFinal = false): void {
    const content = Uint8Array.from(this.#plain.slice(this.#blockAt))
    const tokens = Uint32Array.from(this.#tokens)
    this.#blockAt = this.#plain.length
    this.#tokens = []
    if (kind % 4 === 0 && content.byteLength < 65_536) {
      this.#bits.stored(isFinal, content)
    } else if (kind % 4 === 1) {
      this.#bits.fixed(isFinal)
      this.#bits.tokens(tokens)
      this.#bits.endBlock()
    } else {
      this.#bits.dynamic(isFinal, this.#header(tokens))
      this.#bits.tokens(tokens)
      this.#bits.endBlock()
    }
    this.#deflated.push(this.#bits.take())
  }

  flush(kind: number): void {
    if (this.#tokens.length > 0) this.endBlock(kind)
    for (let left = kind >> 2; left >= 0; left -= 1) {
      if (left % 2 === 0) this.#bits.stored(false, new Uint8Array(0))
      else this.#bits.emptyFixed(false)
    }
  }

  endMember(kind: number): void {
    this.endBlock(kind, true)
    this.#bits.bytes(new Uint8Array(0))
    this.#deflated.push(this.#bits.take())
    const plain = Buffer.from(this.#plain)
    this.plains.push(plain)
    this.members.push(memberOf(Buffer.concat(this.#deflated), plain))
    this.#sizeBefore += plain.byteLength
    this.#bits = new BitWriter()
    this.#deflated = []
    this.#plain = []
    this.#blockAt = 0
  }

  #header(tokens: Uint32Array) {
    const literals = new Uint32Array(LITERAL_COUNT)
    const distances = new Uint32Array(DISTANCE_COUNT)
    countSymbols(tokens, literals, distances)
    literals[END_OF_BLOCK] = 1
    return zlibHeader(this.#trees.build(literals), this.#trees.build(distances), this.#trees)
  }
}
