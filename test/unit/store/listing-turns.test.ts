/** A listing of everything holds up nobody, however the names are spread over repositories. */
import { expect, it } from 'vitest'
import { digestOf } from '../../../src/oci/digest.ts'
import { diskStore } from '../../helpers/disk-store.ts'

const REPOSITORIES = 60
const TAGS = 20

it('lets others have their turn while it lists', async () => {
  await using store = await diskStore()
  const { tags } = store.catalog
  const record = { digest: digestOf(Buffer.from('x')), checkedAt: 1 }
  for (let i = 0; i < REPOSITORIES; i += 1) {
    const repository = { upstream: 'docker.io', name: `team/app-${i}` }
    for (let n = 0; n < TAGS; n += 1) await tags.record(repository, `v${n}`, record)
  }
  let turns = 0
  let isOver = false
  const count = () => {
    turns += 1
    if (!isOver) setImmediate(count)
  }
  setImmediate(count)

  let listed = 0
  for await (const _ of tags.list()) listed += 1
  isOver = true

  expect(listed).toBe(REPOSITORIES * TAGS)
  expect(turns).toBeGreaterThanOrEqual(5)
})
