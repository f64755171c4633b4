import { expect, test } from 'vitest'
import type { TagPage } from '../../../src/ports/upstream.ts'
import type { Answer } from '../../../src/upstream/answer.ts'
import { readTags } from '../../../src/upstream/listing.ts'

interface Page {
  readonly n?: number | undefined
  readonly last?: string | undefined
}

/** What a registry answers: tags, and where it says that there are more. */
type Cut = (
  tags: readonly string[],
  page: Page,
) => { readonly tags: readonly string[]; readonly hasMore: boolean }

/** Pages in the registry's own order, whatever that is. */
const inItsOrder: Cut = (tags, { n = tags.length, last }) => {
  const rest = tags.slice(last === undefined ? 0 : tags.indexOf(last) + 1)
  return { tags: rest.slice(0, n), hasMore: rest.length > n }
}
/** Distribution before 3. */
const everything: Cut = (tags) => ({ tags, hasMore: false })

async function readPage(cut: Cut, tags: readonly string[], page: Page): Promise<TagPage> {
  const found = await readTags(
    (rest) => {
      const url = new URL(`https://registry.example/v2/app/${rest}`)
      const n = url.searchParams.get('n')
      const last = url.searchParams.get('last') ?? undefined
      const answer = cut(tags, { n: n === null ? undefined : Number(n), last })
      const next = new URLSearchParams({ ...(n && { n }), last: answer.tags.at(-1) ?? '' })
      return Promise.resolve({
        status: 200,
        url,
        bytes: Buffer.from(JSON.stringify({ tags: answer.tags })),
        header: () => (answer.hasMore ? `<?${next}>; rel="next"` : undefined),
        discard: async () => undefined,
      } as Partial<Answer> as Answer)
    },
    page,
    'tags',
  )
  if (found === undefined) throw new Error('there is no list')
  return found
}

/** All pages, as a client reads them that goes where it is sent. */
async function readAll(cut: Cut, tags: readonly string[], n: number): Promise<readonly string[]> {
  const all: string[] = []
  let page: Page | undefined = { n }
  for (let pages = 0; page !== undefined; pages += 1) {
    if (pages > tags.length) throw new Error(`it goes round in circles: ${all.join(' ')}`)
    const found: TagPage = await readPage(cut, tags, page)
    expect(found.tags.length).toBeLessThanOrEqual(n)
    all.push(...found.tags)
    page = found.next
  }
  return all
}

const ORDERS: readonly (readonly string[])[] = [
  ['v3', 'v2', 'v1'],
  ['1.9', '1.10', '1.11', '2.0', 'latest', 'edge'],
  ['latest', 'a', 'b', 'c'],
  ['alpha', 'Alpine', 'beta', 'Busybox', 'delta', 'Yak', 'zeta'],
]

test.each(ORDERS)('no tag is lost of a list that begins with %s, %s', async (...tags) => {
  for (let n = 1; n <= tags.length; n += 1) {
    expect(await readAll(inItsOrder, tags, n)).toEqual(tags)
  }
})

test.each(ORDERS)('all at once are cut into pages: %s, %s, ...', async (...tags) => {
  for (let n = 1; n <= tags.length; n += 1) {
    expect((await readAll(everything, tags, n)).toSorted()).toEqual(tags.toSorted())
  }
})

test('what comes up to the last tag is left out where the registry sends it all the same', async () => {
  const page = await readPage(everything, ['a', 'b', 'c'], { last: 'b' })
  expect(page).toEqual({ tags: ['c'] })
})
