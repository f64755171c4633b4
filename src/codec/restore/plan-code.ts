/** Plans and empty blocks as bytes: what corrections say where a prediction was wrong. */
import type { DynamicHeader } from '../inflate/block-header.ts'
import type { ByteSink, ByteSource } from './byte-sink.ts'
import { damaged } from './failure.ts'
import { HeaderReader } from './header-reader.ts'
import type { BlockPlan, EmptyBlock } from './model.ts'

/*
 * A plan: bits 0 to 2 its kind, 3 isFinal, 4 isLiteral, 5 "with the header that was predicted". A dynamic one's header follows
 * unless it was predicted: its bits, counted, and they. Empty blocks: how many, and of each bit 0 isFinal, bit 1 fixed.
 */
const KINDS = ['none', 'continued', 'stored', 'fixed', 'dynamic'] as const
const FINAL = 1 << 3
const LITERAL = 1 << 4
const SAME_HEADER = 1 << 5

/** 14 bits, 19 lengths of 3, 316 of 14 at most. */
const MAX_HEADER_BITS = 14 + 19 * 3 + 316 * 14
/** Of real streams' flushes two are the most; tests of flushing write more. */
export const MAX_EMPTY_BLOCKS = 1024

export function isSamePlan(one: BlockPlan, other: BlockPlan, hasMatch: boolean): boolean {
  const literal = hasMatch ? FINAL | LITERAL : FINAL
  return (
    one.kind === other.kind &&
    (flagsOf(one) & literal) === (flagsOf(other) & literal) &&
    (one.kind !== 'dynamic' || other.kind !== 'dynamic' || isSameHeader(one.header, other.header))
  )
}

export function isSameHeader(one: DynamicHeader, other: DynamicHeader): boolean {
  return one.bitCount === other.bitCount && Buffer.compare(one.bits, other.bits) === 0
}

export function writePlan(sink: ByteSink, plan: BlockPlan, predicted: BlockPlan): void {
  const flags = KINDS.indexOf(plan.kind) | flagsOf(plan)
  const isSame =
    plan.kind === 'dynamic' &&
    predicted.kind === 'dynamic' &&
    isSameHeader(plan.header, predicted.header)
  sink.byte(isSame ? flags | SAME_HEADER : flags)
  if (plan.kind !== 'dynamic' || isSame) return
  sink.number(plan.header.bitCount)
  sink.bytes(plan.header.bits)
}

export class PlanReader {
  readonly #headers = new HeaderReader()

  read(source: ByteSource, predicted: BlockPlan): BlockPlan {
    const flags = source.byte()
    const kind = KINDS[flags & 7]
    const isFinal = (flags & FINAL) !== 0
    const isLiteral = (flags & LITERAL) !== 0
    switch (kind) {
      case 'none':
        return { kind }
      case 'continued':
        return { kind, isLiteral }
      case 'stored':
        return { kind, isFinal }
      case 'fixed':
        return { kind, isFinal, isLiteral }
      case 'dynamic':
        return { kind, isFinal, isLiteral, header: this.#readHeader(source, flags, predicted) }
      default:
        throw damaged('a block is of no known kind')
    }
  }

  #readHeader(source: ByteSource, flags: number, predicted: BlockPlan): DynamicHeader {
    if ((flags & SAME_HEADER) !== 0) {
      if (predicted.kind === 'dynamic') return predicted.header
      throw damaged('a header was not predicted')
    }
    const bitCount = source.number(MAX_HEADER_BITS)
    return this.#headers.read(source.bytes((bitCount + 7) >> 3), bitCount)
  }
}

export function isSameTail(one: readonly EmptyBlock[], other: readonly EmptyBlock[]): boolean {
  return (
    one.length === other.length && one.every((block, index) => code(block) === codeAt(other, index))
  )
}

export function writeTail(sink: ByteSink, tail: readonly EmptyBlock[]): void {
  sink.number(tail.length)
  for (const block of tail) sink.byte(code(block))
}

export function readTail(source: ByteSource): readonly EmptyBlock[] {
  return Array.from({ length: source.number(MAX_EMPTY_BLOCKS) }, () => {
    const value = source.byte()
    return { type: (value & 2) === 0 ? 'stored' : 'fixed', isFinal: (value & 1) !== 0 }
  })
}

function flagsOf(plan: BlockPlan): number {
  const isFinal = 'isFinal' in plan && plan.isFinal
  const isLiteral = 'isLiteral' in plan && plan.isLiteral
  return (isFinal ? FINAL : 0) | (isLiteral ? LITERAL : 0)
}

function code({ type, isFinal }: EmptyBlock): number {
  return (type === 'fixed' ? 2 : 0) | (isFinal ? 1 : 0)
}

function codeAt(tail: readonly EmptyBlock[], index: number): number {
  const block = tail[index]
  return block === undefined ? -1 : code(block)
}
