/** Finds out whether a gzip stream can be made again from its content, and what corrections that takes. */
import { CrossdockError } from '../../errors.ts'
import type { ByteStream } from '../../lib/streams.ts'
import { DecodeError } from '../failure.ts'
import { gzip } from '../gzip.ts'
import { mostCorrections, writeCorrections } from './corrections.ts'
import { chooseModel } from './choice.ts'
import { Follower } from './follower.ts'
import { Measure, type Whole } from './measure.ts'
import type { Model } from './model.ts'
import { MODELS } from './models.ts'
import { NotPredictableError } from './not-predictable.ts'
import { rebuild } from './rebuild.ts'

export interface AnalyseOptions {
  readonly signal?: AbortSignal | undefined
  /** Those that are tried; all that there are unless given. */
  readonly models?: readonly Model[]
  /** Bytes of content; a stream that has more is carried. No limit unless given. */
  readonly maxOutput?: number | undefined
}

export type Analysis =
  | {
      readonly kind: 'restorable'
      /** What `rebuild` takes. */
      readonly corrections: Uint8Array
      /** The model's name. */
      readonly model: string
      /** What is in the gzip stream, and the stream. */
      readonly tar: Whole
      readonly gzip: Whole
    }
  /** The original must be kept: `why` says so in a few words, for people. */
  | { readonly kind: 'carry'; readonly why: string }

/** Bytes that are followed at a time: the event loop waits for it. */
const PIECE_SIZE = 64 * 1024

/**
 * Reads the stream up to three times: a bit to choose a model, all to find the corrections, all to prove that it comes back
 * from them. Throws what `open` throws, and the signal's reason; what is no sound gzip is carried.
 */
export async function analyse(
  open: () => ByteStream,
  options: AnalyseOptions = {},
): Promise<Analysis> {
  try {
    const model = await chooseModel(open(), options.models ?? MODELS, options.signal)
    if (model === undefined) return carry('no model is known that writes such streams')
    const followed = await follow(open(), model, options)
    await prove(open(), followed, options.signal)
    return followed
  } catch (error) {
    const why = reasonToCarry(error)
    if (why === undefined) throw error
    return carry(why)
  }
}

type Restorable = Extract<Analysis, { kind: 'restorable' }>

function carry(why: string): Analysis {
  return { kind: 'carry', why }
}

/** Undefined for what is no fault of the stream's. */
function reasonToCarry(error: unknown): string | undefined {
  if (error instanceof NotPredictableError || error instanceof DecodeError) return error.message
  return undefined
}

async function follow(
  bytes: ByteStream,
  model: Model,
  { signal, maxOutput = Number.POSITIVE_INFINITY }: AnalyseOptions,
): Promise<Restorable> {
  const tar = new Measure()
  const stream = new Measure()
  const follower = new Follower(model, (content) => {
    tar.add(content)
    if (tar.size > maxOutput) throw new NotPredictableError('its content is too large')
  })
  for await (const piece of bytes) {
    for (let at = 0; at < piece.byteLength; at += PIECE_SIZE) {
      signal?.throwIfAborted()
      const part = piece.subarray(at, at + PIECE_SIZE)
      stream.add(part)
      follower.push(part)
      check(follower.size, stream.size)
    }
  }
  follower.finish()
  check(follower.size, stream.size)
  const whole = { tar: tar.end(), gzip: stream.end() }
  const corrections = writeCorrections(
    { model: model.id, ...whole, members: follower.members },
    follower.ledger,
  )
  return { kind: 'restorable', corrections, model: model.name, ...whole }
}

function check(corrections: number, streamSize: number): void {
  if (corrections <= mostCorrections(streamSize)) return
  throw new NotPredictableError('its encoder is none that is known: it takes too many corrections')
}

/** Decodes with another decoder, rebuilds, and has the result checked. */
async function prove(
  bytes: ByteStream,
  { corrections, tar }: Restorable,
  signal: AbortSignal | undefined,
): Promise<void> {
  const content = gzip.decode(bytes, { maxOutput: tar.size, maxWindowLog: 0 })
  try {
    for await (const _ of rebuild(content, corrections, { signal }));
  } catch (error) {
    if (!(error instanceof CrossdockError) || error instanceof DecodeError) throw error
    throw new NotPredictableError('it did not come back from its corrections', { cause: error })
  }
}
