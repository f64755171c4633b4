import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { BundleDescription } from '../../../src/bundle/description.ts'
import { formatDescription, parseDescription } from '../../../src/bundle/description-file.ts'
import { smallFile } from '../../../src/bundle/entry.ts'
import { openBundle } from '../../../src/bundle/input-files.ts'
import { readFiles } from '../../../src/bundle/read-files.ts'
import { writeArchive, writeFolder } from '../../../src/bundle/output-files.ts'
import { collect, streamOf } from '../../../src/lib/streams.ts'
import { digestOf, hexOf } from '../../../src/oci/digest.ts'
import { chunked } from '../../helpers/bytes.ts'

describe('files of a bundle', () => {
  let folder: string

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'crossdock-files-'))
  })

  afterEach(() => rm(folder, { recursive: true, force: true }))

  it('in volumes hold the same bytes, none larger than asked, with checksums', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ minLength: 1, maxLength: 5000 }),
        fc.integer({ min: 10, max: 3000 }),
        fc.integer({ min: 1, max: 4000 }),
        async (bytes, split, chunk) => {
          const file = join(folder, 'b.tar')
          const written = await writeArchive(file, chunked(bytes, [chunk]), split)

          const volumes = written.slice(0, -1).map(({ path }) => path)
          expect(volumes).toHaveLength(Math.ceil(bytes.byteLength / split))
          const parts = await Promise.all(volumes.map((path) => readFile(path)))
          expect(Math.max(...parts.map((part) => part.byteLength))).toBeLessThanOrEqual(split)
          expect(Buffer.concat(parts).equals(bytes)).toBe(true)
          const sums = await readFile(`${file}.sha256`, 'utf8')
          expect(sums).toBe(
            parts
              .map(
                (part, i) => `${hexOf(digestOf(part))}  b.tar.${String(i + 1).padStart(3, '0')}\n`,
              )
              .join(''),
          )
          for (const { path } of written) await rm(path)
        },
      ),
      { numRuns: 30 },
    )
  })

  it('appear whole or not at all, and leave nothing else behind', async () => {
    const file = join(folder, 'b.tar')
    await writeArchive(file, streamOf(Buffer.from('old')))
    async function* broken() {
      yield Buffer.from('half')
      throw new Error('it broke')
    }

    await expect(writeArchive(file, broken())).rejects.toThrow('it broke')
    await expect(writeArchive(file, broken(), 2)).rejects.toThrow('it broke')
    async function* files() {
      yield smallFile('a/b', 'one')
      throw new Error('it broke')
    }
    await expect(writeFolder(join(folder, 'layout'), files())).rejects.toThrow('it broke')

    expect(await readdir(folder)).toEqual(['b.tar'])
    expect(await readFile(file, 'utf8')).toBe('old')
  })

  it('leave nothing of the bundle that they replace, in one piece or in volumes', async () => {
    const file = join(folder, 'b.tar')
    await writeFile(join(folder, 'b.tar.zst'), 'another bundle')
    await writeArchive(file, streamOf(Buffer.from('0123456789')), 3)
    await writeArchive(file, streamOf(Buffer.from('01234')), 3)
    expect(await readdir(folder)).toEqual(['b.tar.001', 'b.tar.002', 'b.tar.sha256', 'b.tar.zst'])

    await writeArchive(file, streamOf(Buffer.from('whole')))
    expect(await readdir(folder)).toEqual(['b.tar', 'b.tar.zst'])
    await writeArchive(file, streamOf(Buffer.from('01')), 3)
    expect(await readdir(folder)).toEqual(['b.tar.001', 'b.tar.sha256', 'b.tar.zst'])
  })

  it('are missed by name', async () => {
    await expect(openBundle(join(folder, 'b.tar'))).rejects.toThrow(/b\.tar is not there/)
    for (const name of ['b.tar.001', 'b.tar.003']) await writeFile(join(folder, name), 'x')
    await expect(openBundle(join(folder, 'b.tar'))).rejects.toThrow(
      /volume 2 of 3, .*b\.tar\.002, is missing/,
    )
  })

  it('that end in digits and are no volumes are read as they are', async () => {
    const path = join(folder, 'image.123')
    await writeFile(path, 'x')
    await writeFile(join(folder, 'image.sha256'), `${'0'.repeat(64)}  other\n`)
    expect((await openBundle(path)).name).toBe(path)
    expect(await collect(readFiles([path]), 10)).toEqual(Buffer.from('x'))
  })
})

describe('the description', () => {
  const blob = { digest: digestOf(Buffer.from('x')), size: 1 }
  const empty = {
    images: [],
    manifests: [],
    conversions: [],
    requires: [],
    blobs: [blob],
    omitted: [],
  }

  it('comes back with an identity that its content decides', () => {
    const one = parseDescription(Buffer.from(formatDescription(empty)))
    const two = parseDescription(Buffer.from(formatDescription({ ...empty, omitted: [blob] })))
    expect(one).toMatchObject(empty)
    expect(one.id).not.toBe(two.id)
  })

  it.each([
    ['no JSON', '{'],
    ['a list', '[]'],
    ['a digest that is none', JSON.stringify({ bundleVersion: 1, ...empty, id: 'x' })],
    ['null', 'null'],
  ])('is refused when it is %s', (_, text) => {
    expect(() => parseDescription(Buffer.from(text))).toThrow(
      /bundle\.json in the bundle is malformed/,
    )
  })

  it('of a newer crossdock is refused with advice', () => {
    const text = formatDescription(empty).replace('"bundleVersion": 1', '"bundleVersion": 3')
    expect(() => parseDescription(Buffer.from(text))).toThrow(/version 3.*update crossdock/)
  })

  it('is of a version that older ones refuse only when layers are to be made again', () => {
    const whole = { ...blob, travels: 'whole', why: 'nobody knows how' } as const
    const made = { tar: blob, corrections: blob, encoder: 'zlib' }
    const asTar = { ...blob, ...made, travels: 'as-tar' } as const
    const versionOf = (layers: BundleDescription['layers']) =>
      JSON.parse(formatDescription({ ...empty, layers })).bundleVersion

    expect([undefined, [], [whole], [whole, asTar]].map(versionOf)).toEqual([1, 1, 1, 2])
    const text = formatDescription({ ...empty, layers: [asTar], materials: [blob] })
    expect(parseDescription(Buffer.from(text))).toMatchObject({ layers: [asTar] })
  })

  it.each(['tar', 'corrections'])('is refused when a layer has no %s', (part) => {
    const made = { tar: blob, corrections: blob, encoder: 'zlib', [part]: undefined }
    const layers = [{ ...blob, ...made, travels: 'as-tar' }] as BundleDescription['layers']
    const text = formatDescription({ ...empty, layers })
    expect(() => parseDescription(Buffer.from(text))).toThrow(/malformed/)
  })
})
