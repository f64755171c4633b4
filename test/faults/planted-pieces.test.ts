/** Conversions that unpack to nothing are made again before they are believed: whatever was planted is found, and nothing stays. */
import { cp, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { must, openHosts, storeOf } from '../helpers/bundle-hosts.ts'
import { ForgedBundle, swap } from '../helpers/forged-bundle.ts'

describe('a bundle of images that are proven by making them again', () => {
  const PROFILES = '\nprofiles: { soci: { format: soci, minLayerSize: 0 } }\n'

  it.each(['soci', 'nydus', 'nydus-ref'])(
    'is refused whichever part of them was planted: %s',
    async (form) => {
      await using hosts = await openHosts()
      const { registry, near, far } = hosts
      const config = await readFile(join(near.folder, 'crossdock.yaml'), 'utf8')
      await near.write('crossdock.yaml', config + PROFILES)
      await registry.pushImage('team/app', '1', {
        layers: [{ size: 3000 }, { size: 10, compression: 'zstd' }],
      })
      await must(near, 'export', `team/app:1-${form}`, '-o', 'whole')
      const folder = join(near.folder, 'whole')
      const parts = await (await ForgedBundle.open(folder)).made()
      expect(parts.length).toBeGreaterThan(3)
      for (const [i, part] of parts.entries()) {
        await cp(folder, join(near.folder, `forged-${i}`), { recursive: true })
        const bundle = await ForgedBundle.open(join(near.folder, `forged-${i}`))
        await bundle.plant(part, forge)
        await bundle.save()

        const result = await far.run('import', join(near.folder, `forged-${i}`))

        expect(result.err).toMatch(/and it is not: .*do not use this bundle/)
        expect(result.code).toBe(1)
        expect(await storeOf(far)).toEqual([])
      }
      await must(far, 'import', folder)
    },
  )

  it('is refused when pieces of two layers are swapped', async () => {
    await using hosts = await openHosts()
    const { registry, near, far } = hosts
    await registry.pushImage('team/app', '1', { layers: [{ size: 3000 }, { size: 10 }] })
    await must(near, 'export', 'team/app:1-nydus', '-o', 'bundle')
    const bundle = await ForgedBundle.open(join(near.folder, 'bundle'))
    swap(bundle.conversions[0]?.layers[0], bundle.conversions[0]?.layers[1], 'target')
    await bundle.save()

    const result = await far.run('import', join(near.folder, 'bundle'))

    expect(result.err).toMatch(/and it is not: layer sha256:\w+ does not give sha256:/)
    expect(await storeOf(far)).toEqual([])
  })
})

/** The last digit of a document becomes another one, and one bit of anything else. */
function forge(text: string): string {
  if (text.startsWith('{') && text.length > 2) {
    return text.replace(/\d(?=\D*$)/, (digit) => String((Number(digit) + 1) % 10))
  }
  const at = text.length >> 1
  const changed = String.fromCharCode(text.charCodeAt(at) ^ 1)
  return text.slice(0, at) + changed + text.slice(at + 1)
}
