/** Runs a format over a tar in memory, with a priority list where one is given. */
import type { Encoded, FormatOptions } from '../../src/format/format.ts'
import { defaultOptions } from '../../src/format/formats.ts'
import type { LayerFormat } from '../../src/format/layer-format.ts'
import { chunked } from './bytes.ts'

export async function encodeLazy(
  format: LayerFormat,
  tar: Uint8Array,
  with_: {
    readonly options?: FormatOptions
    readonly priorities?: readonly string[]
    readonly concurrency?: number
    readonly sizes?: readonly number[]
    /** Counts readings of the tar. */
    readonly onReopen?: () => void
  } = {},
): Promise<{ readonly bytes: Buffer; readonly facts: Encoded }> {
  const open = () => chunked(tar, with_.sizes ?? [65_536])
  const encoder = format.encoding.encode(open(), with_.options ?? defaultOptions(format), {
    concurrency: with_.concurrency ?? 2,
    priorities: with_.priorities,
    reopen: () => {
      with_.onReopen?.()
      return open()
    },
  })
  const chunks: Uint8Array[] = []
  for (;;) {
    const step = await encoder.next()
    if (step.done) return { bytes: Buffer.concat(chunks), facts: step.value }
    chunks.push(step.value)
  }
}
