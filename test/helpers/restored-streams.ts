/** Following gzip streams with models, and making them again, without the container around. */
import { ByteSink, ByteSource } from '../../src/codec/restore/byte-sink.ts'
import { Follower } from '../../src/codec/restore/follower.ts'
import { readLedger, writeLedger } from '../../src/codec/restore/ledger.ts'
import type { Model } from '../../src/codec/restore/model.ts'
import { Rebuilder } from '../../src/codec/restore/rebuilder.ts'

export interface Followed {
  readonly ledger: Uint8Array
  readonly members: number
}

/** Pieces of these sizes, again and again. */
export function* pieces(bytes: Uint8Array, sizes: readonly number[]): Generator<Uint8Array> {
  for (let at = 0, index = 0; at < bytes.byteLength; index += 1) {
    const size = sizes[index % sizes.length] ?? 1
    yield bytes.subarray(at, at + size)
    at += size
  }
}

export function followed(
  model: Model,
  packed: Uint8Array,
  sizes: readonly number[] = [65_536],
): Followed {
  const follower = new Follower(model)
  for (const piece of pieces(packed, sizes)) follower.push(new Uint8Array(piece))
  follower.finish()
  const sink = new ByteSink()
  writeLedger(sink, follower.ledger)
  return { ledger: sink.written, members: follower.members }
}

/** Ends early when more comes out than `most`. */
export function rebuilt(
  model: Model,
  { ledger, members }: Followed,
  plain: Uint8Array,
  sizes: readonly number[] = [65_536],
  most: number = Number.POSITIVE_INFINITY,
): Buffer {
  const shape = { size: plain.byteLength, members }
  const rebuilder = new Rebuilder(model, readLedger(new ByteSource(ledger)), shape)
  const parts: Uint8Array[] = []
  let size = 0
  const take = (made: Iterable<Uint8Array>) => {
    for (const part of made) {
      parts.push(part)
      size += part.byteLength
      if (size > most) break
    }
  }
  for (const piece of pieces(plain, sizes)) {
    if (size <= most) take(rebuilder.push(piece))
  }
  if (size <= most) take(rebuilder.finish())
  return Buffer.concat(parts)
}
