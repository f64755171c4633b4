/** What a migration that is run again does not bring back: what was removed at the new store after it had been copied. */
import { expect, test } from 'vitest'
import { digestOf } from '../../../src/oci/digest.ts'
import type { Sidecar } from '../../../src/ports/sidecars.ts'
import { copyPins, wantedPins } from '../../../src/store/migration/facts.ts'
import { Removals } from '../../../src/store/migration/removals.ts'
import { MemoryJournal } from '../../helpers/memory-journal.ts'
import { MemorySidecars } from '../../helpers/memory-store.ts'

const HERE = { upstream: 'docker.io', name: 'library/a' }

function claimedAt(at: number): Sidecar {
  return {
    digest: digestOf(Buffer.from('manifest')),
    size: 8,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    places: [{ ...HERE, tags: { one: at, two: at } }],
  }
}

async function forgotten(...times: readonly [string, number][]): Promise<MemoryJournal> {
  const journal = new MemoryJournal()
  for (const [tag, at] of times) await journal.forgetTag(HERE, tag, at)
  return journal
}

const tagsIn = ({ places }: Sidecar) => Object.keys(places[0]?.tags ?? {})

test('a tag that was removed at the new store stays removed, also when the old one has asked for it since', async () => {
  const removals = await Removals.of(await forgotten(), await forgotten(['one', 5]))

  expect(tagsIn(removals.without(claimedAt(9)))).toEqual(['two'])
  expect(removals.names).toEqual([{ ...HERE, tag: 'one' }])
})

test('a removal that was copied from here brings back what came later', async () => {
  const removals = await Removals.of(await forgotten(['one', 5]), await forgotten(['one', 5]))

  expect(tagsIn(removals.without(claimedAt(9)))).toEqual(['one', 'two'])
  expect(removals.names).toEqual([])
})

test('nothing is said of a tag that was removed here as well', async () => {
  const removals = await Removals.of(await forgotten(['one', 5]), await forgotten(['one', 7]))

  expect(tagsIn(removals.without(claimedAt(4)))).toEqual(['two'])
  expect(removals.names).toEqual([])
})

test('a look names what would not come back, but for what was pulled there again', async () => {
  const stored = async (...all: readonly Sidecar[]) => {
    const sidecars = new MemorySidecars()
    for (const one of all) await sidecars.update(one.digest, () => one)
    return sidecars
  }
  const removals = () =>
    forgotten(['one', 5], ['two', 12]).then((there) => Removals.of(new MemoryJournal(), there))
  const [one, two] = ['one', 'two'].map((tag) => ({ ...HERE, tag }))

  expect(await (await removals()).foresee(await stored(claimedAt(9)), await stored())).toEqual([
    one,
    two,
  ])
  expect(
    await (await removals()).foresee(await stored(claimedAt(9)), await stored(claimedAt(7))),
  ).toEqual([two])
})

test('pins are copied that were not, and those stay away that were copied and unpinned there', async () => {
  const pin = (reference: string) => ({ ...HERE, reference })
  const [source, target] = [new MemoryJournal(), new MemoryJournal()]
  for (const one of ['1', '2']) await source.pin(pin(one), true)
  const first = await wantedPins(source, target, [])
  expect(first).toMatchObject({ all: [pin('1'), pin('2')], removed: [] })
  await copyPins(target, first)

  await target.pin(pin('1'), false)
  await source.pin(pin('3'), true)
  const second = await wantedPins(source, target, first.all)
  await copyPins(target, second)
  expect(second.removed).toEqual([pin('1')])
  const there: object[] = []
  for await (const one of target.listPins()) there.push(one)
  expect(there).toEqual([pin('2'), pin('3')])
})
