/** What a list of referrers says while a conversion that stands by is under way, refused, or not possible now. */
import { expect, test } from 'vitest'
import { profilesOf } from '../../../src/config/profiles.ts'
import { Attachments, type AttachmentsDeps } from '../../../src/convert/attachments.ts'
import type { ImageFlight, Outcome } from '../../../src/convert/flights.ts'
import { CrossdockError } from '../../../src/errors.ts'
import { digestOf } from '../../../src/oci/digest.ts'
import type { ConvertedImage } from '../../../src/ports/conversions.ts'
import type { RawManifest } from '../../../src/ports/upstream.ts'

const REPOSITORY = { upstream: 'docker.io', name: 'library/app' }
const raw = (text: string): RawManifest => {
  const bytes = Buffer.from(text)
  return { mediaType: 'm', digest: digestOf(bytes), bytes }
}
const SOURCE = raw('source')
const MADE = raw('made')
const NYDUS = profilesOf({ profiles: {}, convert: { onSlow: 'wait' } } as never).find('nydus')
if (NYDUS === undefined) throw new Error('nydus is built in')

/** Attachments to one image, whose conversion ends as the test says. */
function attach(convert: () => Promise<Outcome>) {
  let made: ConvertedImage | undefined
  let conversions = 0
  const deps = {
    waitMs: 5,
    catalog: { conversions: { findImage: async () => made } },
    manifests: {
      get: async () => SOURCE,
      findLocal: async () => MADE,
      findLink: async () => ({ standing: 'proven' }),
      outline: () => ({ kind: 'image', dialect: 'oci' }),
      parse: () => ({ kind: 'image', dialect: 'oci' }),
    },
    images: {
      convert: (): ImageFlight => {
        conversions += 1
        return { mediaType: Promise.resolve('m'), result: convert() }
      },
    },
    remaker: { remake: async () => false },
  }
  const attachments = new Attachments(deps as unknown as AttachmentsDeps)
  return {
    list: (type?: string) => attachments.list(REPOSITORY, SOURCE.digest, [NYDUS as never], type),
    finish: () => {
      made = { target: MADE.digest, outputs: [] } as unknown as ConvertedImage
      return { kind: 'converted', image: made, isHit: false } as const
    },
    conversions: () => conversions,
  }
}

test('a list is held while the conversion is under way, then put off, and complete when it is done', async () => {
  const gate = Promise.withResolvers<Outcome>()
  const attached = attach(() => gate.promise)
  for (let i = 0; i < 2; i += 1) {
    await expect(attached.list()).rejects.toMatchObject({ kind: 'overloaded', retryAfter: 2 })
  }
  gate.resolve(attached.finish())
  expect(await attached.list()).toEqual([
    {
      mediaType: 'm',
      digest: MADE.digest,
      size: MADE.bytes.byteLength,
      artifactType: 'application/vnd.nydus.image.manifest.v1+json',
    },
  ])
  expect(attached.conversions()).toBe(1)
})

test('whoever asks for another type waits for nothing', async () => {
  const attached = attach(() => new Promise(() => undefined))
  expect(await attached.list('application/vnd.example.signature')).toEqual([])
  expect(attached.conversions()).toBe(0)
})

test('an image that stays as it is, and one whose conversion fails, have nothing for a while', async () => {
  const outcomes = [
    async (): Promise<Outcome> => ({ kind: 'original', reason: 'artifact' }),
    async (): Promise<Outcome> => {
      throw new CrossdockError('badDigest', 'wrong bytes')
    },
  ]
  for (const outcome of outcomes) {
    const attached = attach(outcome)
    expect(await attached.list()).toEqual([])
    expect(await attached.list()).toEqual([])
    expect(attached.conversions()).toBe(1)
  }
})

test('what may succeed in a moment is no reason to say that there is nothing', async () => {
  const attached = attach(async () => {
    throw new CrossdockError('overloaded', 'too much is under way')
  })
  await expect(attached.list()).rejects.toMatchObject({ kind: 'overloaded' })
  await expect(attached.list()).rejects.toMatchObject({ kind: 'overloaded' })
  expect(attached.conversions()).toBe(2)
})
