/** gzip streams of the encoders that images are made with: each comes back, and takes next to no corrections. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { analyse } from '../../src/codec/restore/analyse.ts'
import { rebuild } from '../../src/codec/restore/rebuild.ts'
import { collect } from '../../src/lib/streams.ts'
import { chunked, seededText } from '../helpers/bytes.ts'
import { ENCODER_INPUTS } from '../helpers/encoder-inputs.ts'
import { CACHE, describeWith } from '../helpers/fixtures.ts'
import { mustRun } from '../helpers/fixtures-command.ts'

interface Encoder {
  /** Below the cache's folder of encoders. */
  readonly program: string
  readonly kind: 'std' | 'klauspost' | 'pgzip'
  readonly level: string
  readonly model: string
}

const KLAUSPOST = [
  { program: 'gzips-kp1.15.15', release: '1.15.15-1.18.0' },
  { program: 'gzips-kp1.18.0', release: '1.15.15-1.18.0' },
  { program: 'gzips-kp1.18.7', release: '1.18.4-1.20.3' },
  { program: 'gzips-kp1.20.0', release: '1.18.4-1.20.3' },
  { program: 'gzips-go1.26', release: '1.20.4' },
] as const

const GO: readonly Encoder[] = [
  { program: 'gzips-go1.26', kind: 'std', level: '6', model: 'Go 6' },
  { program: 'gzips-go1.26', kind: 'std', level: '1', model: 'Go 1' },
  { program: 'gzips-go1.26', kind: 'std', level: '9', model: 'Go 9' },
  { program: 'gzips-go1.27', kind: 'std', level: '6', model: 'Go 1.27 6' },
]

const ENCODERS: readonly Encoder[] = [
  ...GO,
  ...KLAUSPOST.flatMap(({ program, release }) =>
    (['klauspost', 'pgzip'] as const).map((kind) => ({
      program,
      kind,
      level: '-1',
      model: `${kind}-5@${release}`,
    })),
  ),
]

/** Borders of windows, of pgzip's blocks, and of what is too small for the encoders to care. */
const SIZES = [12, 13, 32, 33, 128, 65_534, 65_535, 65_536, 131_070, 131_071, 262_141, 1_048_575]

const INPUTS = [
  ...ENCODER_INPUTS.filter(({ flushes }) => flushes === undefined),
  ...SIZES.map((size) => ({ name: `${size} bytes`, content: () => seededText(size, 'sizes') })),
]

/** Bytes of a write, in turn. */
const WRITES = [32_768, 777, 65_535, 100_000, 1_048_576]

/** What corrections take that correct nothing but a header. */
const NEXT_TO_NOTHING = 200
const LIMIT = 64 * 1024 * 1024

let folder: string

async function encode({ program, kind, level }: Encoder, content: Buffer): Promise<Buffer> {
  const from = join(folder, 'content')
  const to = join(folder, 'stream')
  writeFileSync(from, content)
  const size = WRITES[content.byteLength % WRITES.length]
  await mustRun(join(CACHE, 'encoders', program), [kind, level, from, to, `${size}`])
  return readFileSync(to)
}

async function expectBack(stream: Buffer, content: Buffer) {
  const analysis = await analyse(() => chunked(stream, [65_536]))
  if (analysis.kind === 'carry') throw new Error(`it is carried: ${analysis.why}`)
  const again = await collect(rebuild(chunked(content, [100_000]), analysis.corrections), LIMIT)
  expect(Buffer.compare(again, stream)).toBe(0)
  return analysis
}

describeWith(['encoders'], 'gzip streams of encoders', () => {
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'crossdock-encoders-'))
  })

  afterAll(() => {
    rmSync(folder, { recursive: true, force: true })
  })

  it.each(ENCODERS)('$program $kind $level is foreseen', async (encoder) => {
    for (const { name, content } of INPUTS) {
      const bytes = content()
      const { corrections } = await expectBack(await encode(encoder, bytes), bytes)
      expect(corrections.byteLength, name).toBeLessThan(NEXT_TO_NOTHING)
    }
  })

  it.each(ENCODERS)('$program $kind $level is recognized, several members too', async (encoder) => {
    const contents = [seededText(1_200_000, 'members'), Buffer.alloc(0), seededText(90_000, 'last')]
    const members = []
    for (const content of contents) members.push(await encode(encoder, content))
    const { model, corrections } = await expectBack(Buffer.concat(members), Buffer.concat(contents))
    expect(model).toBe(encoder.model)
    expect(corrections.byteLength).toBeLessThan(NEXT_TO_NOTHING)
  })
})
