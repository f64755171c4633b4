/** What a model writes by itself: a gzip stream out of nothing but content, header and flushes. */
import { ByteSink, ByteSource } from '../../src/codec/restore/byte-sink.ts'
import { openLedger, readLedger, writeLedger } from '../../src/codec/restore/ledger.ts'
import type { Model } from '../../src/codec/restore/model.ts'
import { Rebuilder } from '../../src/codec/restore/rebuilder.ts'

export interface AloneOptions {
  /** The gzip header. */
  readonly header: Uint8Array
  /** Where the encoder is flushed, none of it at the end, beside where it does so by itself. */
  readonly flushes?: readonly number[]
}

/** One member; nothing of it is corrected. */
export function writeAsModel(model: Model, content: Uint8Array, options: AloneOptions): Buffer {
  const ledger = openLedger()
  ledger.headers.differ(0)
  ledger.headers.sink.sized(options.header)
  const { segmentSize } = model.create()
  for (const [index, size] of segmentSizes(content.byteLength, segmentSize, options).entries()) {
    if (size.real === size.predicted) continue
    ledger.segments.differ(index)
    ledger.segments.sink.number(size.real)
  }
  const sink = new ByteSink()
  writeLedger(sink, ledger)
  const reader = readLedger(new ByteSource(sink.written))
  const rebuilder = new Rebuilder(model, reader, { size: content.byteLength, members: 1 })
  return Buffer.concat([...rebuilder.push(content), ...rebuilder.finish()])
}

function segmentSizes(
  size: number,
  segmentSize: number,
  { flushes = [] }: AloneOptions,
): { readonly real: number; readonly predicted: number }[] {
  const sizes: { readonly real: number; readonly predicted: number }[] = []
  for (let at = 0; at < size; ) {
    const predicted = Math.min(size - at, segmentSize)
    const flush = flushes.find((place) => place > at) ?? size
    const real = Math.min(predicted, flush - at)
    sizes.push({ real, predicted })
    at += real
  }
  return sizes
}
