/** What every SidecarStore must do; run on each implementation. */
import { afterEach, describe, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import type { Sidecar, SidecarStore } from '../../src/ports/sidecars.ts'
import { toArray } from './blob-store.ts'

export interface SidecarsUnderTest extends AsyncDisposable {
  readonly sidecars: SidecarStore
}

export function describeSidecars(name: string, open: () => Promise<SidecarsUnderTest>): void {
  describe(`sidecars ${name}`, () => {
    let opened: SidecarsUnderTest | undefined
    const start = async () => {
      opened = await open()
      return opened.sidecars
    }
    afterEach(async () => {
      await opened?.[Symbol.asyncDispose]()
      opened = undefined
    })

    it('has nothing for a manifest that was never recorded', async () => {
      const sidecars = await start()

      expect(await sidecars.read(sidecar('a').digest)).toBeUndefined()
      expect(await toArray(sidecars.list())).toEqual([])
    })

    it('gives back what was written', async () => {
      const sidecars = await start()
      const written = sidecar('a')

      expect(await sidecars.update(written.digest, () => written)).toEqual(written)

      expect(await sidecars.read(written.digest)).toEqual(written)
      expect(await toArray(sidecars.list())).toEqual([written])
    })

    it('changes what is there also when there was said to be none', async () => {
      const sidecars = await start()
      const { digest } = sidecar('a')
      await sidecars.update(digest, () => sidecar('a'), true)
      const seen: (Sidecar | undefined)[] = []

      await sidecars.update(
        digest,
        (current) => {
          seen.push(current)
          return { ...sidecar('a'), places: current?.places ?? [] }
        },
        true,
      )

      expect(seen.at(-1)).toEqual(sidecar('a'))
      expect(await sidecars.read(digest)).toEqual(sidecar('a'))
    })

    it('removes one when the change leaves nothing', async () => {
      const sidecars = await start()
      const { digest } = sidecar('a')
      await sidecars.update(digest, () => sidecar('a'))

      await sidecars.update(digest, () => undefined)

      expect(await sidecars.read(digest)).toBeUndefined()
      expect(await sidecars.update(digest, () => undefined)).toBeUndefined()
    })

    it('leaves it as it was when the change fails', async () => {
      const sidecars = await start()
      const { digest } = sidecar('a')
      await sidecars.update(digest, () => sidecar('a'))
      const fail = sidecars.update(digest, () => {
        throw new Error('no')
      })

      await expect(fail).rejects.toThrow('no')
      expect(await sidecars.read(digest)).toEqual(sidecar('a'))
    })

    it('gives every change what the one before it has left', async () => {
      const sidecars = await start()
      const { digest } = sidecar('a')
      const sizes = Array.from({ length: 8 }, () =>
        sidecars.update(digest, (current = { ...sidecar('a'), size: 0 }) => ({
          ...current,
          size: current.size + 1,
        })),
      )

      const seen = (await Promise.all(sizes)).map((one) => one?.size)
      expect(seen.sort()).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
      expect((await sidecars.read(digest))?.size).toBe(8)
    })

    it('loses no change when many happen at once', async () => {
      const sidecars = await start()
      const { digest } = sidecar('a')
      const names = Array.from({ length: 20 }, (_, i) => `repository-${i}`)

      await Promise.all(names.map((one) => addPlace(sidecars, digest, one)))

      const places = (await sidecars.read(digest))?.places ?? []
      expect(places.map((place) => place.name).sort()).toEqual(names.sort())
    })
  })
}

export async function addPlace(
  sidecars: SidecarStore,
  digest: Sidecar['digest'],
  name: string,
): Promise<void> {
  await sidecars.update(digest, (current = { ...sidecar('a'), digest }) => ({
    ...current,
    places: [
      ...current.places.filter((place) => place.name !== name),
      { upstream: 'docker.io', name, tags: {} },
    ],
  }))
}

function sidecar(text: string): Sidecar {
  return {
    digest: digestOf(Buffer.from(text)),
    size: 1,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    places: [],
  }
}
