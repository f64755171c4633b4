/** Names that mean something to JavaScript mean nothing here: served where the grammar allows them, refused where it does not. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ask, errorOf } from '../helpers/faults-http.ts'
import { START_MS, TestProxy } from '../helpers/faults-proxy.ts'
import { pull } from '../helpers/faults-puller.ts'
import { loseCatalog } from '../helpers/stored.ts'

const TAGS = ['__proto__', 'constructor', 'toString', 'hasOwnProperty']

let proxy: TestProxy

beforeAll(async () => {
  proxy = await TestProxy.start()
  await proxy.registry.pushImage('constructor/valueof', '1')
  for (const tag of TAGS) await proxy.registry.pushImage('constructor/valueof', tag)
}, START_MS)

afterAll(() => proxy?.[Symbol.asyncDispose]())

test.each([
  ['/__proto__/manifests/1', 'NAME_INVALID'],
  ['/a/__proto__/manifests/1', 'NAME_INVALID'],
  ['/__proto__/a/tags/list', 'NAME_INVALID'],
  ['/as/__proto__/a/manifests/1', 'NAME_INVALID'],
  ['/as/constructor/a/manifests/1', 'MANIFEST_UNKNOWN'],
  ['/constructor/manifests/1', 'MANIFEST_UNKNOWN'],
  ['/constructor/valueof/manifests/1-constructor', 'MANIFEST_UNKNOWN'],
  ['/constructor/valueof/manifests/1-__proto__', 'MANIFEST_UNKNOWN'],
  ['/a/manifests/1?ns=__proto__', 'NAME_UNKNOWN'],
  ['/a/manifests/1?ns=constructor', 'NAME_UNKNOWN'],
  ['/a/blobs/__proto__', 'DIGEST_INVALID'],
  ['/a/blobs/constructor:abc', 'DIGEST_INVALID'],
])('%s is %s', async (path, code) => {
  const answer = await ask(`${proxy.base}${path}`)
  expect(errorOf(answer).code).toBe(code)
})

test('a profile of such a name does not exist', async () => {
  for (const name of ['__proto__', 'constructor']) {
    const headers = { 'crossdock-profile': name }
    const answer = await ask(`${proxy.base}/constructor/valueof/manifests/1`, { headers })
    expect(answer.status).toBe(400)
    expect((await ask(`${proxy.crossdock.url}/as/${name}/v2/`)).status).toBe(404)
  }
})

test(
  'a repository and tags of such names are pulled, converted and found again after the catalog was lost',
  async () => {
    const digests = async () => {
      const all: string[] = []
      for (const tag of TAGS.flatMap((one) => [one, `${one}-zstd`])) {
        all.push((await pull(proxy.base, 'constructor/valueof', tag)).digest)
      }
      return all
    }
    const before = await digests()
    await proxy.stop()
    await loseCatalog(proxy.data)
    await proxy.start({ cache: { offline: true } })

    expect(await digests()).toEqual(before)
  },
  START_MS,
)
