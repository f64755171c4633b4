/** gzip streams of zlib's family: each comes back with next to no corrections, and those of strangers come back or are carried. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { constants, gzipSync } from 'node:zlib'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { analyse } from '../../src/codec/restore/analyse.ts'
import { MODELS } from '../../src/codec/restore/models.ts'
import { ModelError, NotPredictableError } from '../../src/codec/restore/not-predictable.ts'
import { rebuild } from '../../src/codec/restore/rebuild.ts'
import { collect } from '../../src/lib/streams.ts'
import { chunked, seededBytes, seededText } from '../helpers/bytes.ts'
import { describeWith } from '../helpers/fixtures.ts'
import { mustRun } from '../helpers/fixtures-command.ts'
import { followed, rebuilt } from '../helpers/restored-streams.ts'

const PYTHON = `
import gzip, sys
level, start, end = int(sys.argv[1]), sys.argv[2], sys.argv[3]
open(end, 'wb').write(gzip.compress(open(start, 'rb').read(), level))
`
const JAVA = `
import java.io.*;
import java.util.zip.*;
public class Deflate {
  public static void main(String[] a) throws Exception {
    try (InputStream in = new FileInputStream(a[0]);
         OutputStream out = new GZIPOutputStream(new FileOutputStream(a[1]))) { in.transferTo(out); }
  }
}
`

interface Encoder {
  readonly name: string
  /** Arguments, FROM and TO in the place of files. */
  readonly command: readonly string[]
}

/** All of whose tokens are foreseen. */
const FAMILY: readonly Encoder[] = [
  shell('GNU gzip 6', 'gzip -6 -c "$1" > "$2"'),
  shell('GNU gzip 9', 'gzip -9 -c "$1" > "$2"'),
  shell('GNU gzip 6 of a pipe', 'gzip -6 < "$1" > "$2"'),
  shell('pigz 6', 'pigz -6 -c "$1" > "$2"'),
  shell('pigz 9', 'pigz -9 -c "$1" > "$2"'),
  { name: 'Python 6', command: ['python3', '-c', PYTHON, '6', 'FROM', 'TO'] },
  { name: 'Python 9', command: ['python3', '-c', PYTHON, '9', 'FROM', 'TO'] },
  { name: 'Java', command: ['java', 'JAVA', 'FROM', 'TO'] },
]

/** Of no model's family. */
const STRANGERS: readonly Encoder[] = [
  shell('libdeflate 6', 'libdeflate-gzip -6 -c "$1" > "$2"'),
  shell('libdeflate 12', 'libdeflate-gzip -12 -c "$1" > "$2"'),
  shell('igzip', 'igzip -c "$1" > "$2"'),
  shell('GNU gzip 1', 'gzip -1 -c "$1" > "$2"'),
]

const WINDOW = 32_768
const SIZES = [0, 1, 2, 3].flatMap((windows) =>
  [-1, 0, 1].map((more) => Math.max(0, windows * WINDOW + more)),
)
const INPUTS = [
  ...SIZES.map((size) => ({ name: `${size} bytes`, content: seededText(size, 'size') })),
  { name: 'zeros', content: Buffer.alloc(2_000_000) },
  { name: 'noise', content: seededBytes(150_000, 'noise') },
  {
    name: 'all kinds',
    content: Buffer.concat([
      seededText(200_000, 'a'),
      seededBytes(150_000, 'b'),
      Buffer.alloc(100_000, 'xyz'),
      seededText(300_000, 'c'),
      seededBytes(40_000, 'd'),
    ]),
  },
]

/** What corrections take that correct nothing but a header. */
const NEXT_TO_NOTHING = 220
const LIMIT = 64 * 1024 * 1024

let folder: string

function shell(name: string, script: string): Encoder {
  return { name, command: ['sh', '-c', script, 'sh', 'FROM', 'TO'] }
}

async function encode({ command }: Encoder, content: Buffer): Promise<Buffer> {
  const places = new Map([
    ['FROM', join(folder, 'content')],
    ['TO', join(folder, 'stream')],
    ['JAVA', join(folder, 'Deflate.java')],
  ])
  writeFileSync(places.get('FROM') ?? '', content)
  const [program = '', ...rest] = command.map((word) => places.get(word) ?? word)
  await mustRun(program, rest)
  return readFileSync(places.get('TO') ?? '')
}

async function correctionsOf(stream: Buffer, content: Buffer): Promise<number> {
  const analysis = await analyse(() => chunked(stream, [65_536]))
  if (analysis.kind === 'carry') throw new Error(`it is carried: ${analysis.why}`)
  const again = await collect(rebuild(chunked(content, [100_000]), analysis.corrections), LIMIT)
  expect(Buffer.compare(again, stream)).toBe(0)
  return analysis.corrections.byteLength
}

describeWith(['zlibs'], "gzip streams of zlib's family", () => {
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'crossdock-zlibs-'))
    writeFileSync(join(folder, 'Deflate.java'), JAVA)
  })

  afterAll(() => {
    rmSync(folder, { recursive: true, force: true })
  })

  it.each(FAMILY)('$name is foreseen', async (encoder) => {
    for (const { name, content } of INPUTS) {
      const size = await correctionsOf(await encode(encoder, content), content)
      expect(size, name).toBeLessThan(NEXT_TO_NOTHING)
    }
  })

  it("this process's own zlib is foreseen, flushed too, and in any number of members", async () => {
    for (const level of [6, 9]) {
      for (const { name, content } of INPUTS) {
        const streams = [0, 1, 2].map(() => gzipSync(content, { level }))
        const size = await correctionsOf(
          Buffer.concat(streams),
          Buffer.concat([content, content, content]),
        )
        expect(size, `${name} at level ${level}`).toBeLessThan(NEXT_TO_NOTHING)
      }
    }
  })

  it.each([...FAMILY, ...STRANGERS])('$name comes back by any model', async (encoder) => {
    const content = INPUTS.at(-1)?.content.subarray(190_000, 310_000) ?? Buffer.alloc(0)
    const own = [
      await encode(encoder, content),
      gzipSync(content, { level: 6, strategy: constants.Z_RLE }),
      gzipSync(content, { level: 0 }),
    ]
    for (const stream of own) {
      for (const model of MODELS) {
        expect(comesBack(model, stream, content), model.name).not.toBe('wrong')
      }
    }
  })
})

function comesBack(
  model: (typeof MODELS)[number],
  stream: Buffer,
  content: Buffer,
): 'right' | 'wrong' | 'refused' {
  try {
    return rebuilt(model, followed(model, stream), content).equals(stream) ? 'right' : 'wrong'
  } catch (error) {
    if (error instanceof NotPredictableError && !(error instanceof ModelError)) return 'refused'
    throw error
  }
}
