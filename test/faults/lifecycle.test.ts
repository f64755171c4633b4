/** The process's life: restarts, lost blobs, an air gap, a second server, commands beside it, and its end. */
import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { Agent } from 'node:http'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type Digest, digestOf } from '../../src/oci/digest.ts'
import { startCrossdock } from '../helpers/crossdock-process.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { ask, errorOf, open } from '../helpers/faults-http.ts'
import { START_MS, TestProxy } from '../helpers/faults-proxy.ts'
import { getManifest, pull } from '../helpers/faults-puller.ts'
import { ROOT } from '../helpers/fixtures.ts'
import { S3_CREDENTIALS } from '../helpers/s3-server.ts'
import { runCommand } from '../helpers/fixtures-command.ts'
import { storeSectionOf } from '../helpers/pair.ts'
import { removeBlob } from '../helpers/stored.ts'

let origin: FakeRegistry

beforeAll(async () => {
  origin = await FakeRegistry.start()
})

afterEach(() => origin.clearFaults())

afterAll(() => origin?.[Symbol.asyncDispose]())

describe('a store', () => {
  let proxy: TestProxy

  beforeAll(async () => {
    proxy = await TestProxy.start({ registry: origin, config: { cache: { tagWindow: '1d' } } })
  }, START_MS)

  afterAll(() => proxy?.[Symbol.asyncDispose]())

  test('outlives restarts: the same answers, and nothing is fetched again', async () => {
    const index = await origin.pushIndex('restarts/app', '1')
    const converted = await getManifest(proxy.base, 'restarts/app', '1-zstd')
    const child = converted.manifests[0]?.digest ?? ''
    const before = await pull(proxy.base, 'restarts/app', child)
    await proxy.restart()
    const fetched = origin.count({ method: 'GET' })

    expect((await getManifest(proxy.base, 'restarts/app', '1')).digest).toBe(index.digest)
    const after = await getManifest(proxy.base, 'restarts/app', '1-zstd')
    expect(after.bytes).toEqual(converted.bytes)
    expect(after.conversion).toBe('hit')
    expect(await pull(proxy.base, 'restarts/app', child)).toEqual(before)
    expect(origin.count({ method: 'GET' })).toBe(fetched)
  })

  test.each(['zstd', 'none', 'estargz', 'zstdchunked', 'gzip'])(
    'makes a lost %s blob again with the same digest, heads at once',
    async (profile) => {
      const name = `lost/${profile}`
      const compression = profile === 'gzip' ? 'zstd' : 'gzip'
      await origin.pushImage(name, '1', { compression, layers: [{ size: 300_000 }] })
      const { layers } = await pull(proxy.base, name, `1-${profile}`)
      const digest = (layers[0]?.digest ?? '') as Digest
      const whole = await ask(`${proxy.base}/${name}/blobs/${digest}`)
      await removeBlob(proxy.data, digest)

      const head = await ask(`${proxy.base}/${name}/blobs/${digest}`, { method: 'HEAD' })
      const body = await ask(`${proxy.base}/${name}/blobs/${digest}`)

      expect(head.headers['content-length']).toBe(String(whole.bytes.byteLength))
      expect(digestOf(body.bytes)).toBe(digest)
      expect(body.isWhole).toBe(true)
    },
  )

  test('makes a lost converted blob again although its source was lost, too', async () => {
    const image = await origin.pushImage('lost/both', '1')
    const { layers } = await pull(proxy.base, 'lost/both', '1-zstd')
    const target = (layers[0]?.digest ?? '') as Digest
    const source = image.layers[0]?.digest as Digest
    for (const digest of [target, source]) await removeBlob(proxy.data, digest)
    await proxy.restart()
    const before = origin.count({ blob: source, method: 'GET' })
    const { bytes } = await ask(`${proxy.base}/lost/both/blobs/${target}`)
    expect(digestOf(bytes)).toBe(target)
    expect(origin.count({ blob: source, method: 'GET' })).toBe(before + 1)
  })

  test.each(['source', 'converted'])('brings a lost %s manifest back', async (which) => {
    const name = `lost/manifest-${which}`
    await origin.pushImage(name, '1')
    const tag = which === 'source' ? '1' : '1-zstd'
    const { digest, bytes } = await pull(proxy.base, name, tag)
    await removeBlob(proxy.data, digest)
    await proxy.restart()
    expect((await getManifest(proxy.base, name, digest)).bytes).toEqual(bytes)
    expect((await pull(proxy.base, name, tag)).digest).toBe(digest)
  })

  test('is served offline without ever dialling out', async () => {
    await origin.pushImage('offline/app', '1', { layers: 2 })
    await origin.pushImage('offline/app', 'unseen')
    const source = await pull(proxy.base, 'offline/app', '1')
    const converted = await pull(proxy.base, 'offline/app', '1-zstd')
    await proxy.restart('SIGTERM', { cache: { offline: true, tagWindow: '0s' } })
    const asked = origin.requests.length
    try {
      expect(await pull(proxy.base, 'offline/app', '1')).toEqual(source)
      expect((await pull(proxy.base, 'offline/app', '1-zstd')).digest).toBe(converted.digest)
      // Another profile of what is here needs nobody else.
      await pull(proxy.base, 'offline/app', '1-none')
      const layer = (converted.layers[0]?.digest ?? '') as Digest
      await removeBlob(proxy.data, layer)
      const remade = await ask(`${proxy.base}/offline/app/blobs/${layer}`)
      expect(digestOf(remade.bytes)).toBe(layer)
      for (const path of [
        'manifests/unseen',
        'manifests/2-zstd',
        'manifests/sha256:'.padEnd(81, '0'),
      ]) {
        const answer = await ask(`${proxy.base}/offline/app/${path}`)
        expect([answer.status, errorOf(answer).code]).toEqual([404, 'MANIFEST_UNKNOWN'])
      }
      const tags = await ask(`${proxy.base}/offline/app/tags/list`)
      expect(JSON.parse(tags.bytes.toString()).tags).toEqual(['1'])
      expect(origin.requests.length).toBe(asked)
    } finally {
      await proxy.restart()
    }
  })

  test('belongs to one server; the next one may start when that has died', async () => {
    await expect(startCrossdock({ data: proxy.data, upstream: origin.host })).rejects.toThrow(
      /another crossdock server already uses the data folder .*; stop it or choose another/,
    )
    expect((await ask(`${proxy.base}/`)).status).toBe(200)
    await proxy.restart('SIGKILL')
    expect((await ask(`${proxy.base}/`)).status).toBe(200)
  })

  test('takes in what a command stages beside the server, which serves it at once', async () => {
    await origin.pushImage('beside/app', '1', { layers: 2 })
    const { status, stdout, stderr } = await command('stage', 'origin/beside/app:1-zstd', '--json')
    expect(`${status} ${stderr}`).toMatch(/^0 /)
    const fetched = origin.count({ method: 'GET' })
    const image = await pull(proxy.base, 'beside/app', '1-zstd')
    expect(image.conversion).toBe('hit')
    expect(stdout).toContain(image.digest)
    expect(origin.count({ method: 'GET' })).toBe(fetched)
    const list = await command('list', '--json')
    expect(list.status).toBe(0)
    expect(list.stdout).toContain('beside/app')
  })

  async function command(...args: readonly string[]) {
    const file = join(proxy.data, '..', 'command.yaml')
    const upstreams = { origin: { url: origin.url } }
    const convert = { defaultPlatforms: ['linux/amd64'] }
    const store = await storeSectionOf(proxy.data)
    const config = { upstreams, defaultUpstream: 'origin', convert, ...(store && { store }) }
    await writeFile(file, JSON.stringify(config))
    const files = ['--config', file, '--data', proxy.data]
    const env = store && S3_CREDENTIALS
    const program = [join(ROOT, 'src/main.ts'), ...args, ...files]
    return await runCommand(process.execPath, program, { ...(env && { env }) })
  }
})

describe('SIGTERM', () => {
  test('lets requests finish, takes no new ones, and ends with 0', async () => {
    await using proxy = await TestProxy.start({ registry: origin })
    const image = await origin.pushImage('term/finish', '1', { layers: [{ size: 400_000 }] })
    const digest = image.layers[0]?.digest ?? ''
    await getManifest(proxy.base, 'term/finish', '1')
    const hold = origin.hold({ blob: digest, method: 'GET' }, { afterBytes: 200_000 })
    const head = await open(`${proxy.base}/term/finish/blobs/${digest}`)
    const body = head.body
    await hold.reached

    const ended = proxy.crossdock.stop('SIGTERM')
    await expect.poll(() => proxy.crossdock.output()).toContain('draining')
    await expect.poll(async () => (await ask(`${proxy.base}/`)).status).toBe(0)
    hold.release()

    const { bytes, isWhole } = await body
    expect([isWhole, digestOf(bytes)]).toEqual([true, digest])
    expect(await ended).toBe(0)
  })

  test('closes connections that are idle, and streams that have no end', async () => {
    await using proxy = await TestProxy.start({ registry: origin })
    const agent = new Agent({ keepAlive: true })
    expect((await ask(`${proxy.base}/`, { agent })).status).toBe(200)
    const events = await open(`${proxy.crossdock.adminUrl}/api/conversions`, {
      headers: { Accept: 'text/event-stream' },
    })
    events.incoming.resume()
    const began = performance.now()
    expect(await proxy.crossdock.stop('SIGTERM')).toBe(0)
    expect(performance.now() - began).toBeLessThan(4_000)
    agent.destroy()
  })

  test('tells who waits for a conversion, and the log says so', async () => {
    await using proxy = await TestProxy.start({
      registry: origin,
      config: { shutdownGrace: '600ms' },
    })
    const image = await origin.pushImage('term/cut', '1')
    const hold = origin.hold({ blob: image.layers[0]?.digest ?? '', method: 'GET' })
    const asked = ask(`${proxy.base}/term/cut/manifests/1-zstd`)
    await hold.reached
    expect(await proxy.crossdock.stop('SIGTERM')).toBe(0)
    const answer = await asked
    hold.release()

    expect([answer.status, answer.headers['retry-after']]).toEqual([503, '5'])
    expect(errorOf(answer).message).toMatch(/shutting down/)
    expect(proxy.crossdock.requests()).toMatchObject([
      {
        status: 503,
        refusal: expect.stringMatching(/shutting down/),
        image: 'origin/term/cut:1-zstd',
      },
    ])
    await proxy.start()
    expect((await pull(proxy.base, 'term/cut', '1-zstd')).layers).toHaveLength(1)
  })

  test('says nothing of wishes that the end cuts off', async () => {
    await using proxy = await TestProxy.start({
      registry: origin,
      config: { shutdownGrace: '600ms' },
    })
    const image = await origin.pushImage('term/wish', '1')
    const hold = origin.hold({ blob: image.layers[0]?.digest ?? '', method: 'GET' })
    const asked = ask(`${proxy.base}/as/zstd/origin/term/wish/manifests/1`)
    await hold.reached
    expect(await proxy.crossdock.stop('SIGTERM')).toBe(0)
    hold.release()

    expect((await asked).status).toBe(503)
    expect(proxy.crossdock.output()).not.toContain('wish_unfulfilled')
    expect(proxy.crossdock.output()).not.toContain('"level":"error"')
  })

  test('cuts who has got early headers or a part of a blob, and the log says so', async () => {
    await using proxy = await TestProxy.start({
      registry: origin,
      config: { shutdownGrace: '600ms', convert: { headerWait: '0s' } },
    })
    const image = await origin.pushImage('term/early', '1', { layers: [{ size: 400_000 }] })
    const digest = image.layers[0]?.digest ?? ''
    const hold = origin.hold({ blob: digest, method: 'GET' }, { afterBytes: 200_000 })
    const early = await open(`${proxy.base}/term/early/manifests/1-zstd`)
    await hold.reached
    const blob = await open(`${proxy.base}/term/early/blobs/${digest}`)
    const bodies = [early.body, blob.body]
    expect(await proxy.crossdock.stop('SIGTERM')).toBe(0)
    hold.release()

    expect((await Promise.all(bodies)).map((body) => body.isWhole)).toEqual([false, false])
    const cut = { status: 200, cut: 'shutdown' }
    const lines = proxy.crossdock.requests().toSorted((a, b) => a.route.localeCompare(b.route))
    expect(lines).toMatchObject([
      { ...cut, route: 'blob' },
      { ...cut, route: 'manifest', conversion: 'pending' },
    ])
  })

  test('waits for no thread that compresses', async () => {
    await using proxy = await TestProxy.start({ registry: origin, config: { shutdownGrace: '1s' } })
    // A frame of random digits takes a high level for seconds.
    const files = [{ name: 'digits', body: randomBytes(4_000_000).toString('hex') }]
    await origin.pushImage('term/busy', '1', { layers: [{ files, compression: 'none' }] })
    const asked = ask(`${proxy.base}/term/busy/manifests/1-zstd-max`)
    const live = async () => (await ask(`${proxy.crossdock.adminUrl}/api/conversions`)).bytes
    await expect
      .poll(async () => (await live()).toString(), { timeout: 10_000 })
      .toMatch(/"stage":"converting","received":[1-9]/)
    const began = performance.now()
    expect(await proxy.crossdock.stop('SIGTERM')).toBe(0)
    expect(performance.now() - began).toBeLessThan(4_000)
    expect((await asked).status).toBe(503)
  })

  test('a second time ends it at once', async () => {
    await using proxy = await TestProxy.start({
      registry: origin,
      config: { shutdownGrace: '60s' },
    })
    const image = await origin.pushImage('term/twice', '1')
    const hold = origin.hold({ blob: image.layers[0]?.digest ?? '', method: 'GET' })
    const asked = ask(`${proxy.base}/term/twice/manifests/1-zstd`)
    await hold.reached
    const ended = proxy.crossdock.stop('SIGTERM')
    await expect.poll(() => proxy.crossdock.output()).toContain('draining')
    const began = performance.now()
    process.kill(proxy.crossdock.pid, 'SIGTERM')
    expect(await ended).toBe(1)
    expect(performance.now() - began).toBeLessThan(3_000)
    await asked
    hold.release()
  })
})

describe('the admin listener', () => {
  test('has metrics and conversions, which the others have not; health is on all', async () => {
    await using proxy = await TestProxy.start({ registry: origin, listeners: ['zstd'] })
    const { adminUrl, url, listenerHosts } = proxy.crossdock
    const doors = [url, `http://${listenerHosts[0]}`]
    for (const path of ['/metrics', '/api/conversions', '/debug', '/admin']) {
      for (const door of doors) expect((await ask(`${door}${path}`)).status).toBe(404)
    }
    for (const path of ['/healthz', '/readyz']) {
      for (const door of [adminUrl, ...doors]) {
        expect((await ask(`${door}${path}`)).status).toBe(200)
      }
    }
    expect((await ask(`${adminUrl}/v2/`)).status).toBe(404)

    await origin.pushImage('admin/app', '1', { layers: 2 })
    await pull(proxy.base, 'admin/app', '1-zstd')
    await pull(proxy.base, 'admin/app', '1-zstd')
    const { metric } = proxy.crossdock
    expect(await metric('crossdock_conversions_total', { profile: 'zstd' })).toBe(1)
    expect(await metric('crossdock_layers_converted_total', { encoding: 'zstd' })).toBe(2)
    expect(await metric('crossdock_requests_total', { route: 'blob', status: '200' })).toBe(6)
    expect(await metric('crossdock_upstream_bytes_total')).toBeGreaterThan(0)
    const { conversions } = JSON.parse(
      (await ask(`${adminUrl}/api/conversions`)).bytes.toString(),
    ) as { conversions: { state: string; profile: string; layers: { stage: string }[] }[] }
    expect(conversions).toHaveLength(1)
    expect(conversions[0]).toMatchObject({ state: 'done', profile: 'zstd' })
    expect(conversions[0]?.layers.map((layer) => layer.stage)).toEqual(['done', 'done'])
  })

  test('streams conversions as they happen', async () => {
    await using proxy = await TestProxy.start({ registry: origin })
    const image = await origin.pushImage('admin/live', '1')
    const hold = origin.hold({ blob: image.layers[0]?.digest ?? '', method: 'GET' })
    const events = await open(`${proxy.crossdock.adminUrl}/api/conversions`, {
      headers: { Accept: 'text/event-stream' },
    })
    expect(events.headers['content-type']).toContain('text/event-stream')
    let text = ''
    events.incoming.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
    })
    const pulled = pull(proxy.base, 'admin/live', '1-zstd')
    await expect.poll(() => text).toMatch(/event: conversion\ndata: .*"state":"converting"/)
    expect(text).toContain(image.layers[0]?.digest)
    expect(text).not.toContain('"state":"done"')
    hold.release()
    await pulled
    await expect.poll(() => text).toContain('"state":"done"')
    events.abort()
  })
})
