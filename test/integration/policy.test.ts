/** What a policy's profiles let through: tags, their suffixes, and the digests of what was converted. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { hashSync } from 'bcryptjs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { ask } from '../helpers/faults-http.ts'
import { START_MS, TestProxy } from '../helpers/faults-proxy.ts'

let folder: string
let proxy: TestProxy
let original: string
let converted: string
let blob: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crossdock-policy-'))
  const htpasswd = join(folder, 'users')
  const hash = hashSync('secret', 4)
  await writeFile(
    htpasswd,
    ['all', 'plain', 'fast', 'narrow'].map((name) => `${name}:${hash}\n`).join(''),
  )
  const rule = (who: string, profiles?: string[]) => ({ who: [who], match: ['**'], profiles })
  const policy = [
    ...[rule('all'), rule('plain', ['original']), rule('fast', ['zstd'])],
    { who: ['narrow'], match: ['*/app'] },
  ]
  proxy = await TestProxy.start({
    config: { auth: { mode: 'htpasswd', htpasswd, policy } },
  })
  await proxy.registry.pushImage('hidden/app', '1')
  const image = await proxy.registry.pushImage('app', '1')
  blob = `/app/blobs/${image.layers[0]?.digest}`
  original = `/app/manifests/${digestOf((await get('all', '/app/manifests/1')).bytes)}`
  converted = `/app/manifests/${digestOf((await get('all', '/app/manifests/1-zstd')).bytes)}`
}, START_MS)

afterAll(async () => {
  await proxy?.[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

async function get(user: string, path: string, more: Readonly<Record<string, string>> = {}) {
  const authorization = `Basic ${Buffer.from(`${user}:secret`).toString('base64')}`
  return await ask(`${proxy.base}${path}`, { headers: { authorization, ...more } })
}

describe('a rule with profiles', () => {
  test('lets a tag without a profile through as the original alone', async () => {
    expect((await get('plain', '/app/manifests/1')).status).toBe(200)
    expect((await get('fast', '/app/manifests/1')).status).toBe(404)
  })

  test('lets a tag with a suffix through when it names the profile', async () => {
    expect((await get('fast', '/app/manifests/1-zstd')).status).toBe(200)
    expect((await get('plain', '/app/manifests/1-zstd')).status).toBe(404)
  })

  test('lets the original through where the profile that it names cannot be had', async () => {
    const rootfs = { type: 'layers', diff_ids: [digestOf(Buffer.from('another'))] }
    const image = await proxy.registry.pushImage('broken', '1', { config: { rootfs } })
    const wished = await get('fast', '/as/zstd/broken/manifests/1')
    expect([wished.status, digestOf(wished.bytes)]).toEqual([200, image.digest])
    expect((await get('fast', '/broken/manifests/1')).status).toBe(404)
    expect((await get('plain', '/as/zstd/broken/manifests/1')).status).toBe(404)
  })

  test('lets a converted manifest through by digest when it names its profile', async () => {
    expect(converted).not.toBe(original)
    expect((await get('all', converted)).status).toBe(200)
    expect((await get('fast', converted)).status).toBe(200)
    expect((await get('plain', converted)).status).toBe(404)
  })

  test('leaves originals by digest and blobs to whoever may pull from the repository', async () => {
    for (const user of ['all', 'plain', 'fast']) {
      expect((await get(user, original)).status).toBe(200)
      expect((await get(user, blob)).status).toBe(200)
    }
  })

  test('steers and hides nothing: an old client gets the original where the form was asked for', async () => {
    const answer = await get('fast', '/app/manifests/1-zstd', { 'user-agent': 'docker/20.10.7' })
    expect(answer.status).toBe(200)
    expect(answer.headers['crossdock-conversion']).toMatch(/^original/)
  })
})

describe('a rule for some repositories', () => {
  test.each([
    ['/app/manifests/1', 200],
    ['/%61pp/manifests/%31', 200],
    ['/hidden/app/manifests/1', 404],
    ['/hidden%2Fapp/manifests/1', 404],
    ['/hidden%2fapp/tags/list', 404],
    ['/h%69dden/app/manifests/1', 404],
    ['/app%2f..%2fhidden/app/manifests/1', 400],
    ['/hidden%252Fapp/manifests/1', 400],
  ])('sees %s as what it means and answers %i', async (path, status) => {
    expect((await get('narrow', path)).status).toBe(status)
  })
})
