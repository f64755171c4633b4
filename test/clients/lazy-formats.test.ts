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
import { Semaphore } from '../../src/lib/semaphore.ts'
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
/** Formats that write the same blob, which each describes with other annotations to other clients. */
const BLOBS: readonly (readonly [Format, ...Format[]])[] = [
  [estargz],
  [zstdchunked, zstdchunkedStargz],
]

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

interface Verdict {
  /** Why the layer is refused. */
  readonly refusal?: string
  readonly blob: string
}

let blobs = 0

/** Writes the layer and has the oracle of each format judge every byte. */
async function judge(
  formats: readonly [Format, ...Format[]],
  sample: Sample,
  priorities?: readonly string[],
): Promise<Verdict> {
  const [format] = formats
  blobs += 1
  const blob = join(folder, `blob-${blobs}`)
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
    if (error instanceof LayerRefusedError) return { blob, refusal: error.message }
    // What no client can decompress either fails the pull in every format.
    if (error instanceof CrossdockError && error.kind === 'badManifest') {
      return { blob, refusal: error.message }
    }
    throw error
  }
  const { size } = hasher
  const digest = hasher.digest()
  const check = async (one: Format) => {
    // Or it would write another blob.
    expect(one.encode).toBe(format.encode)
    const annotations = one.annotations?.(facts?.facts ?? {})
    const mediaType = `application/vnd.oci.image.layer.v1.tar+${one.compression}`
    const descriptor = `${blob}-${one.name}.json`
    await writeFile(descriptor, JSON.stringify({ mediaType, digest, size, annotations }))
    const oracle = one === zstdchunked ? 'oracle-zstdchunked' : 'oracle-estargz'
    const diffId = facts?.diffId === undefined ? [] : ['--diffid', facts.diffId]
    const args = ['check', blob, '--descriptor', descriptor, '--source', sample.path, ...diffId]
    await mustRun(join(TOOLS, oracle), args)
  }
  await Promise.all(formats.map(check))
  return { blob }
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

async function accept(formats: readonly [Format, ...Format[]], sample: Sample): Promise<void> {
  const { refusal, blob } = await judge(formats, sample)
  await rm(blob)
  expect(refusal).toBeUndefined()
}

function title(formats: readonly Format[]): string {
  return formats.map(({ name }) => name).join(' and ')
}

/** The oracles use one core, and the encoders wait for them. */
const slots = new Semaphore(2)

describeWith(['oracles'], 'lazy formats before their oracles', () => {
  for (const image of ['debian:12-amd64', 'node-app:1', 'tricky:1', 'tricky-refused:1']) {
    for (const formats of BLOBS) {
      it.skipIf(!existsSync(LAYOUT))(`${title(formats)} of ${image}`, async () => {
        let accepted = 0
        const isTricky = image.startsWith('tricky')
        await Promise.all(
          layersOf(image).map((layer) =>
            slots.run(async () => {
              const { refusal, blob } = await judge(formats, layer)
              await rm(blob)
              if (refusal === undefined) accepted += 1
              else expect(`${layer.name}: ${refusal}`).toMatch(isTricky ? REFUSED : /^$/)
            }),
          ),
        )
        expect(accepted).toBeGreaterThan(0)
      })
    }
  }

  for (const formats of BLOBS) {
    it(`${title(formats)} of one of everything`, async () => {
      await accept(formats, await written('rich.tar', [richTar()]))
    })

    it(`${title(formats)} of 30,000 small files`, async () => {
      function* files() {
        const text = seededText(200_000, 'small')
        for (let i = 0; i < 30_000; i += 1) {
          const start = (i * 37) % 190_000
          yield record({ name: `d${i % 100}/${i}`, body: text.subarray(start, start + (i % 5000)) })
        }
        yield END
      }
      await accept(formats, await written('small.tar', files()))
    })

    it(`${title(formats)} of one file of 1 GiB`, async () => {
      function* file() {
        const size = 1024 ** 3
        yield record({ name: 'large', size }).subarray(0, 512)
        const noise = seededBytes(1024 * 1024, 'noise')
        for (let i = 0; i < 1024; i += 1) yield i % 8 === 0 ? noise : Buffer.alloc(1024 * 1024)
        yield END
      }
      await accept(formats, await written('large.tar', file()))
    })
  }

  it('estargz of node-app:1 with priorities, which the reference reader lists', async () => {
    const [base] = layersOf('node-app:1')
    if (base === undefined) throw new Error('node-app:1 has no layers')
    const listed = ['usr/bin/bash', '/etc/passwd', 'no/such/file', 'usr/bin/env']
    const { refusal, blob } = await judge([estargz], base, listed)
    expect(refusal).toBeUndefined()
    const { stdout } = await mustRun(join(TOOLS, 'oracle-estargz'), ['list', blob])
    const files = stdout
      .trim()
      .split('\n')
      .filter((name) => !name.endsWith('/'))
    const isListed = (name: string) =>
      listed.some((path) => path.replace(/^\//, '') === name.replace(/^\.?\//, ''))
    expect(files.filter(isListed)).toHaveLength(3)
  })
})
