/** Every fixture, in every form: converted to the same content, or passed through with the reason. */
import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { forget, pull, startClient } from '../helpers/clients.ts'
import { expectFetched, markLog } from '../helpers/clients-evidence.ts'
import { type Crossdock, startCrossdock } from '../helpers/crossdock-process.ts'
import { describeWith, REGISTRY } from '../helpers/fixtures.ts'
import {
  compressionOf,
  readBlob,
  readConfig,
  readImage,
  readManifest,
  readTags,
} from '../helpers/fixtures-registry.ts'
import { expectSameImage } from '../helpers/oracles.ts'

/** Images by what becomes of them with each profile. */
const CONVERTED: Readonly<Record<string, readonly string[]>> = {
  'legacy:1': ['zstd', 'none'],
  'legacy:single': ['zstd', 'none'],
  'zstd-src:1': ['gzip', 'none'],
  'plain-src:1': ['zstd', 'gzip'],
  'mixed:1': ['zstd', 'gzip', 'none'],
  'many-layers:1': ['zstd', 'none'],
  'tricky:1': ['zstd', 'gzip', 'none'],
  'artifact:image': ['zstd'],
}

const KEPT: Readonly<Record<string, readonly string[]>> = {
  'legacy:1': ['gzip'],
  'zstd-src:1': ['zstd'],
  'plain-src:1': ['none'],
  'many-layers:1': ['gzip'],
  'artifact:1': ['zstd', 'none'],
  'artifact:no-layers': ['zstd'],
  'artifact:helm': ['zstd', 'none'],
  'artifact:wasm': ['zstd', 'none'],
  'encrypted:1': ['zstd', 'gzip', 'none'],
  'unknown-layer:1': ['zstd', 'none'],
  'unknown-layer:no-layers': ['zstd', 'none'],
}

/** Broken enough that no form but the original may be handed out: what follows a gzip stream, a window beyond the limit. */
const REFUSED = new Set(['gzip-garbage', 'gzip-zero-padding', 'zstd-window-28'])

describeWith(['registry', 'oracles'], 'fixtures', () => {
  let crossdock: Crossdock
  beforeAll(async () => {
    crossdock = await startCrossdock()
  })
  afterAll(async () => {
    await crossdock[Symbol.asyncDispose]()
  })

  for (const [image, profiles] of Object.entries(CONVERTED)) {
    for (const profile of profiles) {
      test(`${image}-${profile} is converted to the same content`, async () => {
        await expectConverted(crossdock, image, profile)
        await expectSameImage(`${REGISTRY}/${image}`, `${crossdock.host}/${image}-${profile}`)
      })
    }
  }

  for (const [image, profiles] of Object.entries(KEPT)) {
    for (const profile of profiles) {
      test(`${image}-${profile} is the original, with the reason`, async () => {
        const source = await readManifest(`${REGISTRY}/${image}`)
        const answer = await readManifest(`${crossdock.host}/${image}-${profile}`)
        expect(answer.conversion).toMatch(/^original; reason=./)
        expect(answer.digest).toBe(source.digest)
        expect(answer.headers.get('content-type')).toBe(source.headers.get('content-type'))
      })
    }
  }

  test('every theme of tricky is converted to the same content', async () => {
    for (const theme of await readTags(REGISTRY, 'tricky')) {
      await expectConverted(crossdock, `tricky:${theme}`, 'none')
      await expectSameImage(`${REGISTRY}/tricky:${theme}`, `${crossdock.host}/tricky:${theme}-none`)
    }
  })

  test('every theme of tricky-refused is converted to the same tars or refused', async () => {
    for (const theme of await readTags(REGISTRY, 'tricky-refused')) {
      const image = `${crossdock.host}/tricky-refused:${theme}-none`
      const answer = await readManifest(image)
      if (answer.status === 200) {
        await expectDiffIds(image)
        expect(REFUSED, theme).not.toContain(theme)
      } else {
        expect([400, 502], `${theme}: ${answer.bytes}`).toContain(answer.status)
        expect(JSON.parse(answer.bytes.toString()).errors[0].message, theme).not.toBe('')
        expect([...REFUSED, '1'], `${theme}: ${answer.bytes}`).toContain(theme)
      }
      const original = await readManifest(`${crossdock.host}/tricky-refused:${theme}`)
      expect(original.status, theme).toBe(200)
    }
  })

  for (const tag of ['1', 'docker', 'present']) {
    test(`foreign:${tag} keeps its foreign layer in every form`, async () => {
      const source = await readManifest(`${REGISTRY}/foreign:${tag}`)
      for (const profile of ['zstd', 'none']) {
        const answer = await readManifest(`${crossdock.host}/foreign:${tag}-${profile}`)
        expect(answer.status, answer.bytes.toString()).toBe(200)
        const { mediaType, ...layer } = answer.document.layers?.[1] ?? { mediaType: '' }
        expect(mediaType).toMatch(/foreign|nondistributable/)
        expect(source.document.layers?.[1]).toMatchObject(layer)
        expect(answer.document.config?.digest).toBe(source.document.config?.digest)
      }
    })
  }

  test('layers that images share are converted once', async () => {
    await using fresh = await startCrossdock()
    const images = ['shared-a:1', 'shared-b:1', 'debian:12', 'shared-a:1']
    const layers = new Set<string>()
    for (const image of images) {
      const source = await readImage(`${REGISTRY}/${image}`)
      for (const layer of source.document.layers ?? []) layers.add(layer.digest)
      expect((await readManifest(`${fresh.host}/${image}-zstd`)).status).toBe(200)
    }
    const labels = { encoding: 'zstd', result: 'converted' }
    expect(await fresh.metric('crossdock_layers_converted_total', labels)).toBe(layers.size)
  })

  test('a literal tag wins over a suffix', async () => {
    const literal = ['1.0-zstd', '1.0-gzip', '1.0-none', '1.0-zstd-max', '1.0-zstd-zstd', 'zstd']
    for (const tag of [
      ...literal,
      '1.0-estargz',
      'zstd-',
      'a..b--c__d',
      '_underscore',
      'UPPER_case',
    ]) {
      const source = await readManifest(`${REGISTRY}/tags:${tag}`)
      expect((await readManifest(`${crossdock.host}/tags:${tag}`)).digest, tag).toBe(source.digest)
    }
    // The longest literal tag below a suffix that is not literal.
    await expectConverted(crossdock, 'tags:1.0-zstd-zstd', 'zstd')
    await expectConverted(crossdock, 'tags:1.0-gzip', 'zstd')
    await expectConverted(crossdock, 'tags:latest', 'zstd-max')
  })

  test('lists the tags of upstream, and the suffixed ones when asked', async () => {
    const source = await readTags(REGISTRY, 'tags')
    const passed = await readTags(crossdock.host, 'tags')
    expect(new Set(passed)).toEqual(new Set(source))
    const more = await readTags(crossdock.host, 'tags', '?profiles=1')
    expect(more).toEqual(expect.arrayContaining(['latest-zstd', 'latest-none', 'latest']))
  })
})

describeWith(['registry', 'clients'], 'Docker 20.10', () => {
  test('pulls zstd images as gzip and as plain tars', async () => {
    await using crossdock = await startCrossdock()
    await startClient('dk20')
    for (const image of ['zstd-src:1-gzip', 'mixed:1-gzip', 'zstd-src:1-none', 'legacy:1-none']) {
      await forget('dk20')
      const mark = markLog(crossdock)
      await pull('dk20', `${crossdock.host}/${image}`)
      await expectFetched(crossdock, mark, 'dk20', await readImage(`${crossdock.host}/${image}`))
    }
    await forget('dk20')
  })

  test('is warned when it gets the original of what it cannot read', async () => {
    await using crossdock = await startCrossdock()
    const headers = {
      'user-agent': 'docker/20.10.24+dfsg1 go/go1.19.8 kernel/6.1 os/linux arch/amd64',
    }
    const answer = await readManifest(`${crossdock.host}/debian:12-zstd`, { headers })
    expect(answer.digest).toBe((await readManifest(`${REGISTRY}/debian:12`)).digest)
    expect(answer.headers.get('warning')).toMatch(/^299 - ".*zstd/)
    expect(answer.conversion).toMatch(/^original; reason=/)
  })
})

async function expectConverted(
  crossdock: Crossdock,
  image: string,
  profile: string,
): Promise<void> {
  const top = await readManifest(`${crossdock.host}/${image}-${profile}`)
  expect(top.status, `${image}-${profile}: ${top.bytes}`).toBe(200)
  expect(top.conversion, `${image}-${profile}`).toMatch(/^(?:converted; seconds=|hit)/)
  expect(top.digest).toBe(top.headers.get('docker-content-digest'))
  const answer = await readImage(`${crossdock.host}/${image}-${profile}`)
  const layers = (answer.document.layers ?? []).filter((layer) => layer.size > 0)
  expect(new Set(layers.map(compressionOf)), `${image}-${profile}`).toEqual(
    new Set([profile === 'zstd-max' ? 'zstd' : profile]),
  )
  expect(answer.document.annotations?.['dev.crossdock.profile']).toBe(profile)
  expect(answer.document.annotations?.['dev.crossdock.source.digest']).toMatch(/^sha256:/)
}

/** Every layer unpacks to what the config says; for tars that no oracle reads. */
async function expectDiffIds(image: string): Promise<void> {
  const { document } = await readImage(image)
  const config = await readConfig(image)
  const found = []
  for (const layer of document.layers ?? []) {
    const body = Readable.fromWeb((await readBlob(image, layer.digest)).body as never)
    const compression = compressionOf(layer)
    const tar =
      compression === 'gzip'
        ? body.pipe(createGunzip())
        : compression === 'zstd'
          ? body.pipe(createZstdDecompress())
          : body
    const hash = createHash('sha256')
    for await (const chunk of tar) hash.update(chunk as Buffer)
    found.push(`sha256:${hash.digest('hex')}`)
  }
  expect(found, image).toEqual(config.rootfs.diff_ids)
}
