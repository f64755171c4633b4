/** Which model a gzip stream is followed with: all that there are try its beginning, and the nearest ones a longer part of it. */
import { setImmediate } from 'node:timers/promises'
import { type ByteStream, close } from '../../lib/streams.ts'
import { mostCorrections } from './corrections.ts'
import { Follower } from './follower.ts'
import type { Model } from './model.ts'
import { NotPredictableError } from './not-predictable.ts'

/** Bytes of the stream that are tried. The second trial sees a few of pgzip's segments, by which it differs from its parent. */
const TRIALS = [16 * 1024, 1024 * 1024] as const
const PIECE_SIZE = 4 * 1024
/** Bytes of content that are enough: of zeros, a stream's first few hold as much as others in all. */
const ENOUGH = 8 * 1024 * 1024
/** Bytes of corrections that make no difference. */
const TIE = 64

interface Beginning {
  readonly bytes: Uint8Array
  readonly isWhole: boolean
}

/** The model with the fewest corrections; undefined when those of all are too many for so many bytes. */
export async function chooseModel(
  stream: ByteStream,
  models: readonly Model[],
  signal?: AbortSignal | undefined,
): Promise<Model | undefined> {
  let left = models
  if (left.length < 2) return left[0]
  const iterator = stream[Symbol.asyncIterator]()
  try {
    const read = new Reader(iterator)
    for (const size of TRIALS) {
      const beginning = await read.upTo(size)
      left = await nearest(left, beginning, signal)
      if (left.length < 2 || beginning.isWhole) break
    }
    return left[0]
  } finally {
    await close(iterator)
  }
}

/** Those that need the fewest corrections, or hardly more; the best comes first. */
async function nearest(
  models: readonly Model[],
  beginning: Beginning,
  signal: AbortSignal | undefined,
): Promise<readonly Model[]> {
  const most = mostCorrections(beginning.bytes.byteLength)
  const tried: { readonly model: Model; readonly cost: number }[] = []
  let least = most
  for (const model of models) {
    const cost = costOf(model, beginning, least + TIE)
    least = Math.min(least, cost)
    tried.push({ model, cost })
    // Others are to be served meanwhile.
    await setImmediate()
    signal?.throwIfAborted()
  }
  return tried
    .filter(({ cost }) => cost <= Math.min(most, least + TIE))
    .sort((one, other) => one.cost - other.cost)
    .map(({ model }) => model)
}

/** Bytes of corrections; infinite when they are more than `most`. */
function costOf(model: Model, { bytes, isWhole }: Beginning, most: number): number {
  const follower = new Follower(model)
  const isOpen = () => follower.size <= most && follower.position < ENOUGH
  try {
    let at = 0
    for (; at < bytes.byteLength && isOpen(); at += PIECE_SIZE) {
      follower.push(bytes.subarray(at, at + PIECE_SIZE))
    }
    if (isWhole && at >= bytes.byteLength && isOpen()) follower.finish()
  } catch (error) {
    if (error instanceof NotPredictableError) return Number.POSITIVE_INFINITY
    throw error
  }
  return follower.size <= most ? follower.size : Number.POSITIVE_INFINITY
}

class Reader {
  #bytes: Uint8Array = new Uint8Array(0)
  #isWhole = false
  readonly #iterator: AsyncIterator<Uint8Array>

  constructor(iterator: AsyncIterator<Uint8Array>) {
    this.#iterator = iterator
  }

  /** The first so many bytes, all there are if these are fewer. */
  async upTo(size: number): Promise<Beginning> {
    const parts = [this.#bytes]
    let have = this.#bytes.byteLength
    while (have < size && !this.#isWhole) {
      const step = await this.#iterator.next()
      if (step.done) this.#isWhole = true
      else {
        parts.push(new Uint8Array(step.value))
        have += step.value.byteLength
      }
    }
    this.#bytes = Buffer.concat(parts)
    return { bytes: this.#bytes.subarray(0, size), isWhole: this.#isWhole && have <= size }
  }
}
