/** Bundles that lie about what layers are made again from: nothing wrong becomes visible, and the store is what it was. */
import { createHash } from 'node:crypto'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { IdentifiedBundle, RebuiltLayer } from '../../src/bundle/description.ts'
import { rebuiltIn } from '../../src/bundle/description.ts'
import { blobPath } from '../../src/bundle/layout-files.ts'
import { MAX_CORRECTIONS } from '../../src/bundle/rebuilding.ts'
import { type Digest, digestOf } from '../../src/oci/digest.ts'
import {
  type Hosts,
  must,
  openHosts,
  readJson,
  serving,
  storeOf,
  UPSTREAM,
} from '../helpers/bundle-hosts.ts'
import type { FakeImage } from '../helpers/fake-image.ts'

const text = (name: string) => ({ files: [{ name, body: `${name} `.repeat(20_000) }] })

describe('a bundle whose layers are to be made again', () => {
  let hosts: Hosts
  let before: readonly string[]
  let app: FakeImage
  let folder: string
  let bundle: IdentifiedBundle
  let layers: readonly RebuiltLayer[]

  beforeEach(async () => {
    hosts = await openHosts()
    const { registry, near, far } = hosts
    await registry.pushImage('team/other', '1')
    await must(near, 'export', 'team/other:1', '-o', 'other.tar')
    await must(far, 'import', join(near.folder, 'other.tar'))
    before = await storeOf(far)
    app = await registry.pushImage('team/app', '1', { layers: [text('one'), text('two')] })
    await must(near, 'export', 'team/app:1', '--restore-digests', '-o', 'bundle')
    folder = join(near.folder, 'bundle')
    bundle = await readJson<IdentifiedBundle>(join(folder, 'bundle.json'))
    layers = rebuiltIn(bundle)
  })

  afterEach(() => hosts[Symbol.asyncDispose]())

  const layer = (at: number): RebuiltLayer => {
    const found = layers[at]
    if (found === undefined) throw new Error('both layers are to be made again')
    return found
  }
  const pathOf = (digest: Digest) => join(folder, blobPath(digest))

  /** The import fails with this message, the store is what it was, and the whole bundle comes in afterwards. */
  async function refuses(message: RegExp): Promise<void> {
    const { far, near } = hosts
    const result = await far.run('import', folder)
    expect(result.err).toMatch(message)
    expect(result.err).not.toMatch(/\n\s+at /)
    expect(result.code).toBe(1)
    expect(await storeOf(far)).toEqual(before)
    await serving(far, async (get) => {
      expect((await get(`${UPSTREAM}/team/app/manifests/1`)).status).toBe(404)
      for (const { digest } of app.layers) {
        expect((await get(`${UPSTREAM}/team/app/blobs/${digest}`)).status).toBe(404)
      }
      expect((await get(`${UPSTREAM}/team/other/manifests/1`)).status).toBe(200)
    })
    await must(near, 'export', 'team/app:1', '--restore-digests', '-o', 'again')
    await must(far, 'import', join(near.folder, 'again'))
  }

  /** Writes the description with another text in it. */
  async function describeAs(change: (text: string) => string): Promise<void> {
    await writeFile(join(folder, 'bundle.json'), change(JSON.stringify(bundle)))
  }

  /** Puts other bytes in the place of a blob, under their own digest, wherever the description names it. */
  async function replace(one: { digest: Digest; size: number }, bytes: Uint8Array): Promise<void> {
    const digest = digestOf(bytes)
    await writeFile(pathOf(digest), bytes)
    await describeAs((text) => {
      const changed = JSON.parse(text.replaceAll(one.digest, digest)) as IdentifiedBundle
      const named = [
        ...(changed.materials ?? []),
        ...rebuiltIn(changed).flatMap(({ tar, corrections }) => [tar, corrections]),
      ]
      for (const blob of named) {
        if (blob.digest === digest) Object.assign(blob, { size: bytes.byteLength })
      }
      return JSON.stringify(changed)
    })
  }

  it('is refused when corrections are those of another layer', async () => {
    const [one, two] = [layer(0).corrections, layer(1).corrections]
    await describeAs((text) => {
      const changed = JSON.parse(text) as IdentifiedBundle
      const [first, second] = rebuiltIn(changed)
      Object.assign(first ?? {}, { corrections: two })
      Object.assign(second ?? {}, { corrections: one })
      return JSON.stringify(changed)
    })

    await refuses(/layer sha256:\w+ cannot be made again from what the bundle has of it/)
  })

  it('is refused when a tar is another one', async () => {
    const tar = await readFile(pathOf(layer(0).tar.digest))
    tar[1_000] = (tar[1_000] ?? 0) ^ 1
    await replace(layer(0).tar, tar)

    await refuses(/layer sha256:\w+ cannot be made again/)
  })

  it.each([
    [
      'of a model that nobody knows',
      (bytes: Uint8Array) => resealed(bytes, (content) => withByte(content, 0, 0x7d)),
    ],
    ['of a version that is to come', (bytes: Uint8Array) => withByte(bytes, SUM - 1, 0x7f)],
    ['a bomb', (bytes: Uint8Array) => resealed(bytes, () => Buffer.alloc(80 * 2 ** 20))],
    [
      'without an end',
      (bytes: Uint8Array) =>
        resealed(bytes, (content) => content.subarray(0, content.byteLength - 1)),
    ],
    ['cut off', (bytes: Uint8Array) => bytes.subarray(0, bytes.byteLength >> 1)],
    ['empty', () => Buffer.of()],
    ['noise', () => Buffer.alloc(5_000, 'noise')],
  ])('is refused when corrections are %s', async (_, change) => {
    const corrections = await readFile(pathOf(layer(0).corrections.digest))
    await replace(layer(0).corrections, change(corrections))

    await refuses(/layer sha256:\w+ cannot be made again/)
  })

  it('is refused when a layer is said to be smaller than it is', async () => {
    const { size } = layer(0)
    await describeAs((text) => text.replaceAll(`"size":${size}`, '"size":100'))

    await refuses(/cannot be made again from .*more than its 100 bytes|incomplete/)
  })

  it.each(['tar', 'corrections'] as const)('is refused without its %s', async (what) => {
    await rm(pathOf(layer(0)[what].digest))

    await refuses(new RegExp(`incomplete: of layer ${layer(0).digest}`))
  })

  it.each(['tar', 'corrections'] as const)('says that its %s came damaged', async (what) => {
    const path = pathOf(layer(0)[what].digest)
    const bytes = await readFile(path)
    await writeFile(path, withByte(bytes, bytes.byteLength >> 1, 0xa5))

    await refuses(/in the bundle is damaged.*copy the bundle again/)
  })

  it('is refused before anything is read when corrections have no end', async () => {
    await describeAs((text) =>
      text.replaceAll(`"size":${layer(0).corrections.size}`, `"size":${MAX_CORRECTIONS + 1}`),
    )

    await refuses(/bytes of corrections for layer sha256:\w+, more than/)
  })

  it('is refused when what is said of a layer has another shape', async () => {
    await describeAs((text) => text.replace('"as-tar"', '"by-magic"'))

    await refuses(/bundle\.json in the bundle is malformed/)
  })
})

/** Magic, version and sum of the container (codec/restore/corrections.ts), and a zstd frame behind them. */
const [SUM, FRAME] = [6, 38]

/** Corrections that fit together, with another content. */
function resealed(bytes: Uint8Array, change: (content: Buffer) => Uint8Array): Uint8Array {
  const frame = zstdCompressSync(change(zstdDecompressSync(bytes.subarray(FRAME))))
  const sum = createHash('sha256').update(frame).digest()
  return Buffer.concat([bytes.subarray(0, SUM), sum, frame])
}

function withByte(bytes: Uint8Array, at: number, value: number): Uint8Array {
  const copy = Buffer.from(bytes)
  copy[at] = copy[at] === value ? value ^ 1 : value
  return copy
}
