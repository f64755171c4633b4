/** Contents that make an encoder of gzip show all that it does, and that never change: digests of what comes out are pinned. */
import { seededBytes, seededText } from './bytes.ts'

const MIB = 1024 * 1024

export interface EncoderInput {
  readonly name: string
  readonly content: () => Buffer
  /** Where the encoder is flushed. */
  readonly flushes?: readonly number[]
}

export const ENCODER_INPUTS: readonly EncoderInput[] = [
  { name: 'nothing', content: () => Buffer.alloc(0) },
  { name: 'a byte', content: () => Buffer.from('x') },
  { name: 'a word', content: () => seededText(31, 'word') },
  { name: 'a line', content: () => seededText(127, 'line') },
  { name: 'a paragraph', content: () => seededText(200, 'paragraph') },
  { name: 'a window and a bit', content: () => seededText(65535 + 50, 'window') },
  { name: 'a window', content: () => Buffer.alloc(65535, 'ab') },
  { name: 'everything', content: everything },
  { name: 'a MiB', content: () => long(MIB) },
  { name: 'a MiB and a word', content: () => long(MIB + 16) },
  { name: 'a MiB and more', content: () => long(MIB + 90_000) },
  { name: 'flushes', content: everything, flushes: [7, 40, 150, 65_000, 65_010, 130_545, 251_000] },
]

/** Text, noise, zeros, a few letters that are not alike often, and text again. */
function everything(): Buffer {
  return Buffer.concat([
    seededText(90_000, 'first'),
    seededBytes(70_000, 'noise'),
    Buffer.alloc(66_000),
    seededBytes(70_000, 'letters').map((byte) => 97 + Math.clz32(byte)),
    seededText(30_000, 'first'),
  ])
}

/** Mostly runs, so that it is quickly done; text at the borders of windows and of a MiB. */
function long(size: number): Buffer {
  const content = Buffer.alloc(size)
  for (const at of [0, 300_000, MIB - 20_000]) {
    seededText(40_000, `long ${at}`).copy(content, at)
  }
  return content
}
