import { gunzipSync, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { streamOf } from '../../../src/lib/streams.ts'
import { digestOf } from '../../../src/oci/digest.ts'
import { optionsText } from '../../../src/ports/recipe.ts'
import { isRecordPath, readRecord } from '../../../src/priorities/record-files.ts'
import { buildRecordImage } from '../../../src/priorities/record-image.ts'
import {
  listIn,
  putList,
  readList,
  withList,
  withoutList,
} from '../../../src/priorities/stored-lists.ts'
import { tarOf } from '../../helpers/fake-image.ts'
import { MemoryBlobs } from '../../helpers/memory-blobs.ts'
import { packedRecord, recordText } from '../../helpers/records.ts'

const PLATFORM = { os: 'linux', architecture: 'amd64' }
const component = fc
  .string({ minLength: 1, maxLength: 12 })
  .filter((text) => !/[/\0]|^\.{1,2}$/.test(text))
const paths = fc.uniqueArray(
  fc.array(component, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/')),
  { minLength: 1, maxLength: 30 },
)

describe('a list in the store', () => {
  it('comes back in its order, and equal lists are one blob', async () => {
    await fc.assert(
      fc.asyncProperty(paths, async (listed) => {
        const store = new MemoryBlobs()
        const list = await putList(store, listed)
        const again = await putList(store, [...listed])

        if (list === undefined) throw new Error('it has paths')
        expect(again).toEqual(list)
        expect(store.contents.size).toBe(1)
        expect(await readList(store, list.digest)).toEqual(listed)
      }),
    )
  })

  it('is nothing when it is empty, and missed by name when it is gone', async () => {
    const store = new MemoryBlobs()
    expect(await putList(store, [])).toBeUndefined()
    const gone = digestOf(new Uint8Array(1))
    await expect(readList(store, gone)).rejects.toMatchObject({ kind: 'blobUnknown' })
  })

  it('changes the key of what is made with it, and only then', () => {
    const options = { level: 6 }
    const list = digestOf(new Uint8Array(1))
    const listed = withList(options, list)
    expect(optionsText(withList(options, undefined))).toBe(optionsText(options))
    expect(optionsText(listed)).not.toBe(optionsText(options))
    expect(listIn(listed)).toBe(list)
    expect(withoutList(listed)).toEqual(options)
  })
})

describe('a record', () => {
  const text = recordText('usr/bin/env', 'etc/passwd')
  const read = (bytes: Uint8Array) => readRecord(streamOf(bytes), 'it')

  it('is read plain and out of a tar, whatever its compression and spelling', async () => {
    const tar = await tarOf([{ name: './stargz.record.json', body: text }])
    const forms = [
      Buffer.from(text),
      Buffer.from(`\n  ${text}`),
      tar,
      zstdCompressSync(tar),
      await packedRecord('stargz.record.json', text),
    ]
    for (const bytes of forms) {
      expect((await read(bytes)).map(({ path }) => path)).toEqual(['usr/bin/env', 'etc/passwd'])
    }
  })

  it('is refused with the reason when it is none', async () => {
    const other = await packedRecord('other.json', text)
    await expect(read(other)).rejects.toThrow(/it is no priority list: it holds no stargz.record/)
    await expect(read(Buffer.from('{"path":"a"}\n{"x":1}'))).rejects.toThrow(/line 2 .* no path/)
    await expect(read(Buffer.from('no record at all'))).rejects.toMatchObject({
      kind: 'badManifest',
    })
  })
})

describe('a record image', () => {
  it('is one layer with the file, a config with its diffID and a line end, and the same every time', async () => {
    const lines = [{ path: 'a', manifestDigest: digestOf(new Uint8Array()), layerIndex: 2 }]
    const image = await buildRecordImage(lines, PLATFORM)

    expect(await buildRecordImage(lines, PLATFORM)).toEqual(image)
    const [layer, config] = image.blobs
    if (layer === undefined || config === undefined) throw new Error('it has two blobs')
    expect(await read(layer.bytes)).toEqual(lines)
    const diffId = digestOf(gunzipSync(layer.bytes))
    expect(Buffer.from(config.bytes).toString()).toBe(
      `{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":["${diffId}"]}}\n`,
    )
    expect(JSON.parse(Buffer.from(image.manifest.bytes).toString())).toEqual({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config: {
        mediaType: 'application/vnd.oci.image.config.v1+json',
        digest: config.digest,
        size: config.bytes.byteLength,
      },
      layers: [
        {
          mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
          digest: layer.digest,
          size: layer.bytes.byteLength,
        },
      ],
    })
  })

  const read = (bytes: Uint8Array) => readRecord(streamOf(bytes), 'it')
})

it.each([
  ['/etc/r.json', true],
  ['./r.json', true],
  ['../r.json', true],
  ['r.json', false],
  ['ghcr.io/team/r:1', false],
])('%s is a file: %s', (record, isFile) => {
  expect(isRecordPath(record)).toBe(isFile)
})
