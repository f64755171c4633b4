/** Byte material for codec and format tests: made from a seed, so that digests can be pinned. */
import { createHash } from 'node:crypto'
import type { ByteStream } from '../../src/lib/streams.ts'

/** `size` bytes that look random and never change for a seed. */
export function seededBytes(size: number, seed: string): Buffer {
  const blocks: Buffer[] = []
  for (let i = 0; i * 64 < size; i++) {
    blocks.push(createHash('sha512').update(`${seed} ${i}`).digest())
  }
  return Buffer.concat(blocks).subarray(0, size)
}

/** `size` bytes of words, which compress about as well as an image's text files. */
export function seededText(size: number, seed: string): Buffer {
  const words = ['layer', 'digest', 'manifest', 'index', 'blob', 'tag', 'config', 'the', 'of', '\n']
  const dice = seededBytes(Math.ceil(size / 4) + 1, seed)
  let text = ''
  for (const byte of dice) {
    text += `${words[byte % words.length]}${byte > 200 ? byte : ''} `
    if (text.length >= size) break
  }
  return Buffer.from(text).subarray(0, size)
}

/** A stream of chunks of these sizes, taken in turn. */
export async function* chunked(
  bytes: Uint8Array,
  sizes: readonly number[],
): ByteStream & AsyncGenerator<Uint8Array> {
  let at = 0
  for (let i = 0; at < bytes.byteLength; i++) {
    const size = Math.max(1, sizes[i % sizes.length] ?? 1)
    yield bytes.subarray(at, at + size)
    at += size
  }
}
