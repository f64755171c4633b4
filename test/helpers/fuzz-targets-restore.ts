/** What makes gzip streams again: corrections that come out of bundles, and streams that no encoder wrote. */
import { createHash } from 'node:crypto'
import {
  constants,
  crc32,
  deflateRawSync,
  gunzipSync,
  gzipSync,
  inflateRawSync,
  zstdCompressSync,
} from 'node:zlib'
import { DecodeError } from '../../src/codec/failure.ts'
import { ByteSink } from '../../src/codec/restore/byte-sink.ts'
import type { Model } from '../../src/codec/restore/model.ts'
import { MODELS } from '../../src/codec/restore/models.ts'
import { ModelError, NotPredictableError } from '../../src/codec/restore/not-predictable.ts'
import { rebuild } from '../../src/codec/restore/rebuild.ts'
import { streamOf } from '../../src/lib/streams.ts'
import { seededBytes, seededText } from './bytes.ts'
import { writeProgram } from './deflate-programs.ts'
import { type FuzzTarget, mustHold } from './fuzz-target.ts'
import { memberOf } from './gzip-streams.ts'
import { writeAsModel } from './model-alone.ts'
import { type Followed, followed, rebuilt } from './restored-streams.ts'

const HEADER = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255])
const TRAILER_SIZE = 8
const MAX_PLAIN = 1024 ** 2
/** Of what is made again: hostile sizes may ask for more than there is memory. */
const MAX_MADE = 16 * 1024 ** 2
const MAGIC = Buffer.from('gzfix\x01', 'latin1')

interface Case {
  readonly model: Model
  readonly plain: Buffer
  readonly packed: Buffer
}

/** A little of all that makes encoders decide otherwise. */
const PLAIN = Buffer.concat([
  seededText(3000, 'a'),
  Buffer.alloc(700),
  seededBytes(500, 'b'),
  seededText(2500, 'a'),
])

/** Of each model a stream that it would write, and one of a stranger, which takes corrections of every kind. */
const CASES: readonly Case[] = MODELS.flatMap((model, index) => {
  const own = writeAsModel(model, PLAIN, { header: HEADER, flushes: [1000] })
  const foreign = mixed(PLAIN, index)
  return [own, foreign].map((packed) => ({ model, plain: PLAIN, packed }))
})

/** Parts by other levels and strategies, some flushed, some members of their own. */
function mixed(plain: Buffer, seed: number): Buffer {
  const cuts = [0, 900 + 31 * seed, 2600, 2601, 4200, plain.byteLength]
  const parts = cuts.slice(1).map((end, index) => {
    const begin = cuts[index] ?? 0
    return deflateRawSync(plain.subarray(begin, end), {
      level: (seed + 3 * index) % 10,
      strategy: (seed + index) % 5,
      memLevel: 1 + ((seed + index) % 9),
      ...(begin === 0 ? {} : { dictionary: plain.subarray(0, begin) }),
      finishFlush: index % 2 === 0 ? constants.Z_SYNC_FLUSH : constants.Z_FULL_FLUSH,
    })
  })
  const member = memberOf(Buffer.concat([...parts, Buffer.from([3, 0])]), plain)
  return seed % 3 === 0 ? Buffer.concat([gzipSync(''), member]) : member
}

/** A case, and what is inside of its corrections. */
function correctionsOf(index: number): Buffer {
  const { model, plain, packed } = CASES[index] as Case
  const { ledger, members } = followed(model, packed)
  const sink = new ByteSink()
  for (const value of [model.id, plain.byteLength, packed.byteLength, members]) sink.number(value)
  for (const bytes of [plain, packed]) sink.bytes(sha256(bytes))
  sink.bytes(ledger)
  return Buffer.concat([Buffer.of(index), sink.written])
}

async function runCorrections(input: Buffer): Promise<void> {
  const { plain } = CASES[(input[0] ?? 0) % CASES.length] as Case
  const body = input.subarray(1)
  const frame = zstdCompressSync(body, { params: { [constants.ZSTD_c_compressionLevel]: 1 } })
  const corrections = Buffer.concat([MAGIC, sha256(frame), frame])
  const parts: Uint8Array[] = []
  let size = 0
  for await (const part of rebuild(streamOf(plain), corrections)) {
    size += part.byteLength
    if (size > MAX_MADE) return
    parts.push(part)
  }
  const made = Buffer.concat(parts)
  mustHold(body.includes(sha256(made)), 'what comes out is what they say')
  // The first byte may lead to another case than the corrections are of.
  mustHold(
    CASES.some(({ packed }) => made.equals(packed)),
    'no other stream comes out',
  )
}

/** The first byte says which model. */
function runStream(input: Buffer): void {
  const packed = input.subarray(1)
  runModel(input[0] ?? 0, packed, () => gunzipSync(packed, { maxOutputLength: 64 * MAX_PLAIN }))
}

function runProgram(input: Buffer): void {
  const { packed, plain } = writeProgram(input.subarray(1))
  runModel(input[0] ?? 0, packed, () => plain)
}

/** Brings the stream back, but for bits without a meaning in front of stored blocks and trailers, which only the proof sees. */
function runModel(index: number, packed: Buffer, plain: () => Buffer): void {
  const model = MODELS[index % MODELS.length] as Model
  const notes = followedIfPossible(model, packed)
  if (notes === undefined) return
  const again = rebuilt(model, notes, plain(), [50_000])
  const isRight = again.equals(packed) || isSame(followed(model, again), notes)
  mustHold(isRight && again.byteLength === packed.byteLength, `${model.name} brings it back`)
}

function isSame(one: Followed, other: Followed): boolean {
  return one.members === other.members && Buffer.compare(one.ledger, other.ledger) === 0
}

function followedIfPossible(model: Model, packed: Buffer) {
  try {
    return followed(model, packed, [50_000])
  } catch (error) {
    const isRefused = error instanceof NotPredictableError && !(error instanceof ModelError)
    if (isRefused || error instanceof DecodeError) return undefined
    throw error
  }
}

/** Check sums and sizes of members with plain headers are made right, so that the stream is read to its end. */
function repairStream(input: Buffer): Buffer {
  for (let at = 1; at + HEADER.byteLength < input.byteLength; ) {
    try {
      const deflated = input.subarray(at + HEADER.byteLength)
      const { buffer, engine } = inflateRawSync(deflated, {
        info: true,
        maxOutputLength: MAX_PLAIN,
      }) as unknown as { buffer: Buffer; engine: { bytesWritten: number } }
      at += HEADER.byteLength + engine.bytesWritten
      if (at + TRAILER_SIZE > input.byteLength) break
      input.writeUInt32LE(crc32(buffer), at)
      input.writeUInt32LE(buffer.byteLength, at + 4)
      at += TRAILER_SIZE
    } catch {
      break
    }
  }
  return input
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest()
}

function streamSeeds(): Buffer[] {
  return CASES.map(({ packed }, index) => Buffer.concat([Buffer.of(index >> 1), packed]))
}

function programSeeds(): Buffer[] {
  return MODELS.flatMap((_, index) => [
    Buffer.concat([Buffer.of(index), seededBytes(600, `program ${index}`)]),
    Buffer.concat([Buffer.of(index), Buffer.alloc(3, 0xfc), seededText(700, `program ${index}`)]),
  ])
}

export const RESTORE_TARGETS: readonly FuzzTarget[] = [
  {
    name: 'restored-corrections',
    seeds: CASES.map((_, index) => correctionsOf(index)),
    maxSize: 16 * 1024,
    run: runCorrections,
  },
  {
    name: 'restored-streams',
    seeds: streamSeeds(),
    maxSize: 16 * 1024,
    repair: repairStream,
    run: runStream,
  },
  { name: 'restored-programs', seeds: programSeeds(), maxSize: 8 * 1024, run: runProgram },
]
