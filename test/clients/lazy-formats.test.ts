import { createReadStream, createWriteStream, existsSync, readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { decodeLayer } from '../../src/codec/codecs.ts'
import { CrossdockError } from '../../src/errors.ts'
import { estargz } from '../../src/format/estargz.ts'
import { type EncodedLayer, type Format, LayerRefusedError } from '../../src/format/format.ts'
import { defaultOptions } from '../../src/format/formats.ts'
import { zstdchunked, zstdchunkedStargz } from '../../src/format/zstd-chunked.ts'
import { Hasher } from '../../src/oci/digest.ts'
import { seededBytes, seededText } from '../helpers/bytes.ts'
import { describeWith, LAYOUT, TOOLS } from '../helpers/fixtures.ts'
import { mustRun } from '../helpers/fixtures-command.ts'
import { END, record, richTar } from '../helpers/tars.ts'

/** A layer by the path of its tar, compressed or not. */
interface Sample {
  readonly name: string
  readonly path: string
}

const LIMITS = { maxOutput: 8 * 1024 ** 3, maxWindowLog: 31 }
const FORMATS = [estargz, zstdchunked, zstdchunkedStargz]

/** Layers of the fixtures that lazy formats cannot carry: what is in them that clients would read differently. */
const REFUSED =
  /not UTF-8|sparse|goes on behind its end|there twice|name of a folder|global header|hard link to|readers disagree|runtimes do not know|cannot be decompressed/

let folder = ''

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crossdock-lazy-'))
})

afterAll(async () => await rm(folder, { recursive: true, force: true }))

function open(path: string): AsyncIterable<Uint8Array> {
  return decodeLayer(createReadStream(path, { highWaterMark: 1024 * 1024 }), LIMITS)
}

/** Writes the layer in a format and has its oracle judge every byte; gives the reason when the layer is refused. */
async function judge(
  format: Format,
  sample: Sample,
  priorities?: readonly string[],
): Promise<string | undefined> {
  const blob = join(folder, 'blob')
  const hasher = new Hasher()
  let facts: EncodedLayer | undefined
  const encoder = format.encode(open(sample.path), defaultOptions(format), {
    concurrency: 2,
    priorities,
    reopen: () => open(sample.path),
  })
  async function* bytes() {
    let step = await encoder.next()
    for (; !step.done; step = await encoder.next()) {
      hasher.update(step.value)
      yield step.value
    }
    facts = step.value
  }
  try {
    await pipeline(Readable.from(bytes()), createWriteStream(blob))
  } catch (error) {
    if (error instanceof LayerRefusedError) return error.message
    // What no client can decompress either fails the pull in every format.
    if (error instanceof CrossdockError && error.kind === 'badManifest') return error.message
    throw error
  }
  const annotations = format.annotations?.(facts?.facts ?? {})
  const descriptor = join(folder, 'descriptor.json')
  const mediaType = `application/vnd.oci.image.layer.v1.tar+${format.compression}`
  const { size } = hasher
  await writeFile(
    descriptor,
    JSON.stringify({ mediaType, digest: hasher.digest(), size, annotations }),
  )
  const oracle = format === zstdchunked ? 'oracle-zstdchunked' : 'oracle-estargz'
  const diffId = facts?.diffId === undefined ? [] : ['--diffid', facts.diffId]
  await mustRun(join(TOOLS, oracle), [
    'check',
    blob,
    '--descriptor',
    descriptor,
    '--source',
    sample.path,
    ...diffId,
  ])
  return undefined
}

/** The layers of an image of the fixture layout. */
function layersOf(image: string): readonly Sample[] {
  const read = (path: string) => JSON.parse(readFileSync(join(LAYOUT, path), 'utf8'))
  const name = 'org.opencontainers.image.ref.name'
  const { digest } = read('index.json').manifests.find(
    (manifest: { annotations?: Record<string, string> }) => manifest.annotations?.[name] === image,
  )
  const pathOf = (blob: string) => join('blobs', blob.replace(':', '/'))
  return read(pathOf(digest)).layers.map((layer: { digest: string }, i: number) => ({
    name: `${image} layer ${i}`,
    path: join(LAYOUT, pathOf(layer.digest)),
  }))
}

async function written(name: string, parts: Iterable<Uint8Array>): Promise<Sample> {
  const path = join(folder, name)
  await pipeline(Readable.from(parts), createWriteStream(path))
  return { name, path }
}

describeWith(['oracles'], 'lazy formats before their oracles', () => {
  for (const image of ['debian:12-amd64', 'node-app:1', 'tricky:1', 'tricky-refused:1']) {
    for (const format of FORMATS) {
      it.skipIf(!existsSync(LAYOUT))(`${format.name} of ${image}`, async () => {
        let accepted = 0
        for (const layer of layersOf(image)) {
          const refusal = await judge(format, layer)
          if (refusal === undefined) accepted += 1
          else
            expect(`${layer.name}: ${refusal}`).toMatch(image.startsWith('tricky') ? REFUSED : /^$/)
        }
        expect(accepted).toBeGreaterThan(0)
      })
    }
  }

  for (const format of FORMATS) {
    it(`${format.name} of one of everything`, async () => {
      expect(await judge(format, await written('rich.tar', [richTar()]))).toBeUndefined()
    })

    it(`${format.name} of 30,000 small files`, async () => {
      function* files() {
        const text = seededText(200_000, 'small')
        for (let i = 0; i < 30_000; i += 1) {
          const start = (i * 37) % 190_000
          yield record({ name: `d${i % 100}/${i}`, body: text.subarray(start, start + (i % 5000)) })
        }
        yield END
      }
      expect(await judge(format, await written('small.tar', files()))).toBeUndefined()
    })

    it(`${format.name} of one file of 1 GiB`, async () => {
      function* file() {
        const size = 1024 ** 3
        yield record({ name: 'large', size }).subarray(0, 512)
        const noise = seededBytes(1024 * 1024, 'noise')
        for (let i = 0; i < 1024; i += 1) yield i % 8 === 0 ? noise : Buffer.alloc(1024 * 1024)
        yield END
      }
      expect(await judge(format, await written('large.tar', file()))).toBeUndefined()
    })
  }

  it('estargz of node-app:1 with priorities, which the reference reader lists', async () => {
    const [base] = layersOf('node-app:1')
    if (base === undefined) throw new Error('node-app:1 has no layers')
    const listed = ['usr/bin/bash', '/etc/passwd', 'no/such/file', 'usr/bin/env']
    expect(await judge(estargz, base, listed)).toBeUndefined()
    const { stdout } = await mustRun(join(TOOLS, 'oracle-estargz'), ['list', join(folder, 'blob')])
    const files = stdout
      .trim()
      .split('\n')
      .filter((name) => !name.endsWith('/'))
    const isListed = (name: string) =>
      listed.some((path) => path.replace(/^\//, '') === name.replace(/^\.?\//, ''))
    expect(files.filter(isListed)).toHaveLength(3)
  })
})
