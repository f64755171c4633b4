/** The admin API over HTTP: what it tells, what it does, and to whom. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type RunningCommand, Workplace } from '../helpers/command.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { pull } from '../helpers/faults-puller.ts'
import { tarOf } from '../helpers/tars.ts'

/** `htpasswd -nbB alice secret`, cost 5. */
const ALICE = 'alice:$2b$05$umcwZ0usVx99bm474Xtys.5ac6Zu8Vlo8beOgb2LeBBPtnjfBNO0y'

let registry: FakeRegistry
let place: Workplace
let server: RunningCommand
let admin: string
let door: string

beforeAll(async () => {
  registry = await FakeRegistry.start()
  place = await Workplace.create()
  await place.write('crossdock.yaml', JSON.stringify(configOf()))
  server = place.start('serve')
  door = await server.said(/serves on (http:\S+)/)
  admin = await server.said(/(http:\S+)\/metrics/)
})

afterAll(async () => {
  server.signal()
  await server.done
  await place[Symbol.asyncDispose]()
  await registry[Symbol.asyncDispose]()
})

function configOf(more: object = {}) {
  return {
    listen: [{ address: '127.0.0.1:0' }],
    admin: '127.0.0.1:0',
    defaultUpstream: 'local',
    upstreams: { local: { url: registry.url } },
    convert: { defaultPlatforms: ['linux/amd64'] },
    cache: { lease: '0' },
    limits: { retries: 0 },
    ...more,
  }
}

async function get(path: string, headers: Record<string, string> = {}) {
  const response = await fetch(`${admin}${path}`, { headers })
  return { status: response.status, body: JSON.parse(await response.text()) }
}

async function act(name: string, body: object, headers: Record<string, string> = {}) {
  const response = await fetch(`${admin}/api/actions/${name}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', prefer: 'wait=20', ...headers },
    body: JSON.stringify(body),
  })
  return { status: response.status, body: JSON.parse(await response.text()) }
}

describe('what it tells', () => {
  test('names, sizes, rates and health of now', async () => {
    await registry.pushImage('team/state', '1', { layers: [{ size: 40_000 }] })
    await pull(`${door}/v2`, 'team/state', '1-zstd')
    await pull(`${door}/v2`, 'team/state', '1-zstd')
    await fetch(`${door}/v2/team/nothing/manifests/1`)

    const { body } = await get('/api/state')

    expect(body.server).toMatchObject({ profiles: expect.arrayContaining(['zstd']) })
    expect(body.server.listeners).toEqual([
      expect.objectContaining({ host: '127.0.0.1', port: Number(new URL(door).port) }),
    ])
    const [ended] = body.work.ended
    expect(ended).toMatchObject({ name: 'local/team/state', tag: '1', profile: 'zstd' })
    expect(body.traffic.totals.requests).toBeGreaterThan(3)
    expect(body.traffic.hitRatio).toBeGreaterThan(0)
    const { out, asSource } = body.traffic.savings
    expect(out).toBeGreaterThan(0)
    expect(asSource).not.toBe(out)
    expect(body.upstreams).toEqual([
      expect.objectContaining({ upstream: 'local', health: 'up', restSeconds: 0 }),
    ])
    expect(body.store.bytes).toBeGreaterThan(0)
    expect(body.store.budget).toBeLessThanOrEqual(body.store.maxSize)
    const { refusals } = body.troubles
    expect(refusals.groups[0]).toMatchObject({ count: 1, last: { status: 404 } })
    expect(refusals.recent[0].text).toContain('team/nothing')
  })

  test('who waits for what, layer by layer, while it happens', async () => {
    const image = await registry.pushImage('team/live', '1', { layers: 2 })
    const hold = registry.hold(
      { blob: image.layers[0]?.digest ?? '', method: 'GET' },
      { afterBytes: 1_000 },
    )
    const pulled = pull(`${door}/v2`, 'team/live', '1-zstd')
    await hold.reached

    await expect
      .poll(async () => (await get('/api/state')).body.work.jobs)
      .toEqual([
        expect.objectContaining({
          name: 'local/team/live',
          tag: '1',
          state: 'converting',
          layerCount: 2,
          waiting: {
            count: 1,
            clients: [{ client: '127.0.0.1', image: 'local/team/live:1-zstd' }],
          },
        }),
      ])
    await expect
      .poll(async () => (await get('/api/state')).body.work.downloads)
      .toContainEqual(
        expect.objectContaining({ image: 'local/team/live:1', digest: image.layers[0]?.digest }),
      )
    hold.release()
    await pulled
  })

  test('the same as server-sent events, part by part', async () => {
    const response = await fetch(`${admin}/api/events`)
    expect(response.headers.get('content-type')).toBe('text/event-stream')
    let text = ''
    for await (const chunk of response.body ?? []) {
      text += Buffer.from(chunk).toString()
      if (text.includes('event: tasks')) break
    }
    const events = [...text.matchAll(/^event: (\w+)\ndata: (.*)\n\n/gm)]
    const names = events.map(([, name]) => name)
    expect(names).toEqual(
      expect.arrayContaining(['server', 'work', 'traffic', 'upstreams', 'store', 'troubles']),
    )
    for (const [, , data = ''] of events) expect(() => JSON.parse(data)).not.toThrow()
  })

  test('images page by page, and one with its variants side by side', async () => {
    for (const tag of ['1', '2', '3']) await registry.pushImage('team/paged', tag, { layers: 1 })
    const images = ['1', '2', '3'].map((tag) => `team/paged:${tag}`)
    await act('stage', { images: [...images, 'team/paged:2-zstd', 'team/paged:2-none'] })

    const first = (await get('/api/images?match=paged&limit=2')).body
    expect(first.images.map(({ image }: { image: string }) => image)).toEqual([
      'local/team/paged:1',
      'local/team/paged:2',
    ])
    const second = (await get(`/api/images?match=paged&limit=2&after=${first.next}`)).body
    expect(second).toMatchObject({ images: [{ image: 'local/team/paged:3' }], next: null })

    const { body } = await get('/api/image?image=local/team/paged:2')
    const [original, ...made] = body.variants
    expect(original).toMatchObject({ profile: 'original', stored: original.size })
    expect(made.map(({ profile }: { profile: string }) => profile).sort()).toEqual(['none', 'zstd'])
    expect(made[0]).toMatchObject({ current: true, platforms: [{ layers: 1, fallbacks: [] }] })
    expect(made[0].seconds).toBeGreaterThan(0)
    expect(body.signatures).toEqual([])
    expect((await get('/api/image?image=team/paged:2-none')).body).toEqual(body)
    expect((await get('/api/image?image=team/paged:2-absent')).status).toBe(404)
  })

  test('why a layer has a plainer form than was asked for', async () => {
    const file = { name: 'f', body: Buffer.from('f') }
    await registry.pushImage('team/odd', '1', {
      layers: [{ size: 1_000 }, { tar: tarOf(file, file), compression: 'none' }],
    })
    await act('stage', { images: ['team/odd:1-estargz'] })

    const { variants } = (await get('/api/image?image=team/odd:1')).body

    const [platform] = variants.at(-1).platforms
    expect(platform.fallbacks).toEqual([
      expect.objectContaining({ reason: expect.stringContaining('"f" is there twice') }),
    ])
  })

  test('what a lazy client has read of a variant by range', async () => {
    await registry.pushImage('team/lazy', '1', { layers: [{ size: 30_000 }] })
    const { layers } = await pull(`${door}/v2`, 'team/lazy', '1-estargz')
    const range = { headers: { range: 'bytes=0-99' } }
    await (await fetch(`${door}/v2/team/lazy/blobs/${layers[0]?.digest}`, range)).arrayBuffer()

    const reads = async () => {
      const { variants } = (await get('/api/image?image=team/lazy:1')).body
      return variants.find(({ profile }: { profile: string }) => profile === 'estargz').reads
    }
    await expect.poll(reads).toMatchObject({ rangeBytes: 100, ranges: 1 })
  })

  test('what the store is made of, and what would go next', async () => {
    const { body } = await get('/api/store')

    expect(body.byUpstream[0]).toMatchObject({ name: 'local' })
    const profiles = body.byProfile.map(({ name }: { name: string }) => name)
    expect(profiles).toEqual(expect.arrayContaining(['original', 'zstd']))
    const sum = body.byProfile.reduce(
      (total: number, { bytes }: { bytes: number }) => total + bytes,
      0,
    )
    expect(sum).toBe(body.total)
  })

  test('an upstream that fails, and what it said', async () => {
    const mend = registry.fault({ name: 'team/down' }, { status: 503 })
    await fetch(`${door}/v2/team/down/manifests/1`)

    expect((await get('/api/state')).body.upstreams).toEqual([
      expect.objectContaining({
        health: 'failing',
        failure: expect.objectContaining({ text: expect.stringContaining('503') }),
      }),
    ])
    mend()
    await fetch(`${door}/v2/team/down/manifests/2`)
    expect((await get('/api/state')).body.upstreams).toMatchObject([{ health: 'up' }])
  })

  test('traffic by the minute', async () => {
    const { minutes } = (await get('/api/history')).body

    expect(minutes.at(-1)).toMatchObject({ at: expect.any(Number), requests: expect.any(Number) })
  })
})

describe('what it does', () => {
  test('stages, pins, lets go and forgets, as commands do', async () => {
    await registry.pushImage('team/acts', '1', { layers: 1 })

    const staged = await act('stage', { images: ['team/acts:1-zstd', 'team/absent:1'] })
    expect(staged).toMatchObject({ status: 200, body: { state: 'done', action: 'stage' } })
    const [made, absent] = staged.body.result
    expect(made).toMatchObject({ name: 'local/team/acts:1-zstd' })
    expect(made.conversion).toMatch(/^converted/)
    expect(absent.error).toContain('team/absent')
    // Nobody wished for anything that was not to be had.
    expect((await get('/api/state')).body.troubles.wishes.groups).toEqual([])

    const images = ['team/acts:1-zstd']
    expect((await act('pin', { images })).body.result).toEqual([
      expect.objectContaining({ pinned: true, digest: made.digest }),
    ])
    const listed = await place.run('list', 'team/acts', '--json')
    expect(JSON.parse(listed.out).map((one: { pinned: boolean }) => one.pinned)).toEqual([
      false,
      true,
    ])
    expect((await act('unpin', { images })).body.result).toMatchObject([{ unpinned: true }])
    expect((await act('remove', { images: ['team/acts:1'] })).body.result).toMatchObject([
      { removed: true, conversions: ['zstd'], unpinned: [] },
    ])
  })

  test('asks upstream whether a tag has moved, however short ago that was', async () => {
    const before = await registry.pushImage('team/moves', '1')
    await act('stage', { images: ['team/moves:1'] })
    const after = await registry.pushImage('team/moves', '1')

    expect((await act('recheck', { images: ['team/moves:1-zstd'] })).body.result).toEqual([
      {
        name: 'local/team/moves:1',
        before: before.digest,
        digest: after.digest,
        moved: true,
      },
    ])
    registry.deleteTag('team/moves', '1')
    expect((await act('recheck', { images: ['team/moves:1'] })).body.result).toMatchObject([
      { digest: null, moved: true },
    ])
  })

  test('converts again to the same digest, and says so', async () => {
    await registry.pushImage('team/again', '1', { layers: 2 })
    const [made] = (await act('stage', { images: ['team/again:1-zstd'] })).body.result

    const { body } = await act('convert', { images: ['team/again:1-zstd'] })

    expect(body.result).toEqual([
      expect.objectContaining({
        before: made.digest,
        digest: made.digest,
        confirmed: 2,
        differing: [],
      }),
    ])
  })

  test('looks for signatures upstream', async () => {
    const image = await registry.pushImage('team/signed', '1')
    registry.push('team/signed', `${image.digest.replace(':', '-')}.sig`, image)

    const { body } = await act('signatures', { images: ['team/signed:1'] })

    expect(body.result).toMatchObject([
      { digest: image.digest, signatures: [{ kind: 'signature', digest: image.digest }] },
    ])
  })

  test('collects and verifies', async () => {
    expect((await act('gc', { dryRun: true })).body.result).toMatchObject({ dryRun: true })
    const { result, progress } = (await act('verify', {})).body
    expect(result).toMatchObject({ failed: 0, troubles: [] })
    expect(result.sound).toBeGreaterThan(0)
    expect(progress.total).toBeGreaterThan(0)
  })

  test('commands drive it', async () => {
    await registry.pushImage('team/driven', '1', { layers: 1 })
    const server = ['--server', admin]

    const staged = await place.run('stage', 'team/driven:1-zstd', ...server)
    expect(staged).toMatchObject({ code: 0, out: expect.stringContaining('converted; seconds=') })
    for (const words of [
      ['pin', 'team/driven:1'],
      ['unpin', 'team/driven:1'],
      ['stage', '--recheck', '--again', 'team/driven:1-zstd'],
      ['verify', 'team/driven:1'],
      ['gc', '--dry-run'],
      ['remove', 'team/driven:1'],
    ]) {
      expect(await place.run(...words, ...server)).toMatchObject({ code: 0 })
    }
    expect(await place.run('stage', 'A B', ...server)).toMatchObject({ code: 2 })
    const nobody = await place.run('gc', '--server', 'http://127.0.0.1:1')
    expect(nobody).toMatchObject({ code: 1, err: expect.stringContaining('no server answers at') })
    const tls = admin.replace('http:', 'https:')
    for (const [url, what] of [
      [door, `${door} is not the admin listener; --server is the URL of what`],
      [tls, `${tls} speaks no TLS; say ${admin} if it is the admin listener`],
    ] as const) {
      const { code, err } = await place.run('gc', '--server', url)
      expect([code, err.split('\n').length]).toEqual([2, 3])
      expect(err).toContain(`--server: ${what}`)
    }
  })
})

describe('what it refuses', () => {
  test.each([
    ['a body that is none', '{', 'application/json', 400],
    ['a form', 'images=a', 'application/x-www-form-urlencoded', 400],
    ['what it does not know', '{"images":["a:1"],"force":1}', 'application/json', 400],
    ['a name that is none', '{"images":["A B"]}', 'application/json', 400],
  ])('%s', async (_, body, type, status) => {
    const response = await fetch(`${admin}/api/actions/pin`, {
      method: 'POST',
      headers: { 'content-type': type },
      body,
    })
    expect(response.status).toBe(status)
  })

  test.each([
    ['stage', { images: ['a:1'], platforms: ['foo'] }, 'platforms[0] must be a platform'],
    ['stage', { images: [{ image: 'a:1', platforms: ['x'] }] }, 'images[0].platforms[0] must be'],
    ['convert', { images: ['a:1'] }, 'names no profile to convert to'],
    ['remove', { images: [`a@sha256:${'0'.repeat(64)}`] }, 'only names are forgotten'],
    ['recheck', { images: [`a@sha256:${'0'.repeat(64)}`] }, 'only tags move'],
  ])('%s of %j, before anything begins', async (name, asked, why) => {
    const before = (await get('/api/tasks')).body.tasks.length
    const { status, body } = await act(name, asked)
    expect([status, body.errors?.[0].message]).toEqual([400, expect.stringContaining(why)])
    expect((await get('/api/tasks')).body.tasks).toHaveLength(before)
  })

  test('a reload that is told something', async () => {
    const headers = { 'content-type': 'application/json' }
    const body = JSON.stringify({ a: 1 })
    const response = await fetch(`${admin}/api/reload`, { method: 'POST', headers, body })
    expect([response.status, await response.text()]).toEqual([
      400,
      expect.stringContaining('the body must be an empty object'),
    ])
  })

  test('pages of others, and names that are not its own', async () => {
    const body = { images: ['a:1'] }
    for (const headers of [{ origin: 'http://evil.example' }, { 'sec-fetch-site': 'cross-site' }]) {
      expect(await act('remove', body, headers)).toMatchObject({
        status: 403,
        body: { errors: [{ detail: { reason: 'cross-site' } }] },
      })
    }
  })

  test('methods and paths that are not there', async () => {
    const response = await fetch(`${admin}/api/actions/pin`)
    expect([response.status, response.headers.get('allow')]).toEqual([405, 'POST'])
    expect((await act('reboot', {})).status).toBe(404)
    for (const id of ['999', 'xyz']) {
      const { status, body } = await get(`/api/tasks/${id}`)
      expect([status, body.errors[0].message]).toEqual([
        404,
        expect.stringContaining('no such task'),
      ])
    }
    expect((await fetch(`${door}/api/state`)).status).toBe(404)
  })
})

describe('whom it lets in', () => {
  test('nobody where other machines reach it and nobody is asked who they are', async () => {
    const served = await serveWith({ admin: '0.0.0.0:0' })
    try {
      for (const path of ['/', '/api/state', '/api/events', '/api/conversions']) {
        const response = await fetch(`${served.admin}${path}`, { headers: { accept: 'text/html' } })
        expect(response.status).toBe(403)
        expect(await response.text()).toContain('set adminUsers')
      }
      expect((await fetch(`${served.admin}/metrics`)).status).toBe(200)
    } finally {
      await served.stop()
    }
  })

  test('whom adminUsers names, as of the last reload', async () => {
    const file = await place.write('admins', `${ALICE}\n`)
    const served = await serveWith({ admin: '0.0.0.0:0', adminUsers: file })
    try {
      const login = { authorization: `Basic ${btoa('alice:secret')}` }
      const asked = await fetch(`${served.admin}/api/state`)
      expect([asked.status, asked.headers.get('www-authenticate')]).toEqual([
        401,
        expect.stringContaining('Basic'),
      ])
      const told = await asked.text()
      expect(told).toContain('--server http://USER:PASSWORD@HOST:PORT')
      expect(told).not.toContain('docker login')
      expect((await fetch(`${served.admin}/api/state`, { headers: login })).status).toBe(200)
      const url = served.admin.replace('//', '//alice:secret@')
      expect(await place.run('gc', '--dry-run', '--server', url)).toMatchObject({ code: 0 })
      const wrong = served.admin.replace('//', '//alice:wrong@')
      expect(await place.run('gc', '--server', wrong)).toMatchObject({ code: 1 })

      await place.write('admins', '')
      served.reload()
      await expect
        .poll(async () => (await fetch(`${served.admin}/api/state`, { headers: login })).status)
        .toBe(401)
    } finally {
      await served.stop()
    }
  })

  async function serveWith(config: object) {
    const path = await place.write('other.yaml', JSON.stringify(configOf(config)))
    const other = place.start('serve', '--config', path, '--data', `${place.folder}/other`)
    const url = (await other.said(/(http:\S+)\/metrics/)).replace('0.0.0.0', '127.0.0.1')
    return {
      admin: url,
      reload: () => other.reload(),
      stop: async () => {
        other.signal()
        await other.done
      },
    }
  }
})
