/** Ranges of blobs: in the store, still arriving, far ahead, several at once, and those that make no sense. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { FakeImage } from '../helpers/fake-image.ts'
import type { FakeRegistry } from '../helpers/fake-registry.ts'
import { type Answer, ask } from '../helpers/faults-http.ts'
import { START_MS, TestProxy } from '../helpers/faults-proxy.ts'
import { getManifest, pull } from '../helpers/faults-puller.ts'

let proxy: TestProxy
let origin: FakeRegistry
let image: FakeImage
let url: string

beforeAll(async () => {
  proxy = await TestProxy.start()
  origin = proxy.registry
  image = await origin.pushImage('app', '1')
  await pull(proxy.base, 'app', '1')
  url = proxy.base
}, START_MS)

afterAll(() => proxy?.[Symbol.asyncDispose]())

describe('a range', () => {
  const range = (value: string, more: Readonly<Record<string, string>> = {}) =>
    ask(`${url}/app/blobs/${layerOf(image).digest}`, { headers: { Range: value, ...more } })

  test.each([
    ['bytes=0-0', 0, 1],
    ['bytes=10-99', 10, 100],
    ['bytes=100-', 100, Number.POSITIVE_INFINITY],
    ['bytes=0-99999999', 0, Number.POSITIVE_INFINITY],
    ['bytes=5-18446744073709551615', 5, Number.POSITIVE_INFINITY],
  ])('%s is 206 with those bytes', async (value, start, end) => {
    const { bytes } = layerOf(image)
    const last = Math.min(end, bytes.byteLength) - 1
    const answer = await range(value)
    expect(answer.status).toBe(206)
    expect(answer.headers['content-range']).toBe(`bytes ${start}-${last}/${bytes.byteLength}`)
    expect(answer.bytes).toEqual(bytes.subarray(start, last + 1))
  })

  test('of the last bytes is 206', async () => {
    const { bytes } = layerOf(image)
    const answer = await range('bytes=-7')
    expect(answer.status).toBe(206)
    expect(answer.bytes).toEqual(bytes.subarray(-7))
  })

  test.each(['bytes=99999999-', 'bytes=18446744073709551615-', 'bytes=-0', 'bytes=5-2'])(
    '%s is 416, and says why',
    async (value) => {
      const answer = await range(value)
      expect(answer.status).toBe(416)
      expect(JSON.parse(answer.bytes.toString())).toMatchObject({
        errors: [{ code: 'SIZE_INVALID' }],
      })
      expect(answer.headers['content-range']).toBe(`bytes */${layerOf(image).bytes.byteLength}`)
    },
  )

  test.each(['bytes=a-b', 'rows=1-2'])('%s is no range: 200', async (value) => {
    expect((await range(value)).status).toBe(200)
  })

  test('with several parts comes in the order asked and unmerged', async () => {
    const { bytes } = layerOf(image)
    const answer = await range('bytes=50-59,0-9,5-14,-3')
    expect(answer.status).toBe(206)
    expect(partsOf(answer)).toEqual([
      { range: `bytes 50-59/${bytes.byteLength}`, bytes: bytes.subarray(50, 60) },
      { range: `bytes 0-9/${bytes.byteLength}`, bytes: bytes.subarray(0, 10) },
      { range: `bytes 5-14/${bytes.byteLength}`, bytes: bytes.subarray(5, 15) },
      {
        range: `bytes ${bytes.byteLength - 3}-${bytes.byteLength - 1}/${bytes.byteLength}`,
        bytes: bytes.subarray(-3),
      },
    ])
  })

  test('with 1024 parts is served, with 1025 refused', async () => {
    const parts = Array.from({ length: 1024 }, (_, i) => `${i}-${i}`)
    const most = await range(`bytes=${parts.join(',')}`)
    expect(most.status).toBe(206)
    expect(partsOf(most)).toHaveLength(1024)
    const more = await range(`bytes=${[...parts, '0-0'].join(',')}`)
    expect(more.status).toBe(400)
  })

  test('counts only while If-Range names this very blob', async () => {
    const { digest } = layerOf(image)
    expect((await range('bytes=0-9', { 'If-Range': `"${digest}"` })).status).toBe(206)
    expect((await range('bytes=0-9', { 'If-Range': '"other"' })).status).toBe(200)
  })

  test('and fifteen others of a blob that is not here cost one GET and no HEAD', async () => {
    const cold = await origin.pushImage('ranges/cold', '1', { layers: [{ size: 500_000 }] })
    const blob = layerOf(cold)
    await getManifest(url, 'ranges/cold', '1')

    const starts = Array.from({ length: 16 }, (_, i) => i * 30_000)
    const answers = await Promise.all(
      starts.map((start) =>
        ask(`${url}/ranges/cold/blobs/${blob.digest}`, {
          headers: { Range: `bytes=${start}-${start + 9_999}` },
        }),
      ),
    )

    expect(answers.map(({ status }) => status)).toEqual(starts.map(() => 206))
    for (const [i, start] of starts.entries()) {
      expect(answers[i]?.bytes).toEqual(blob.bytes.subarray(start, start + 10_000))
    }
    expect(origin.count({ blob: blob.digest, method: 'HEAD' })).toBe(0)
    expect(origin.count({ blob: blob.digest, method: 'GET' })).toBe(1)
  })

  test('of a blob that is still arriving is answered from it', async () => {
    const growing = await origin.pushImage('ranges/growing', '1', { layers: [{ size: 500_000 }] })
    const blob = layerOf(growing)
    await getManifest(url, 'ranges/growing', '1')
    const hold = origin.hold({ blob: blob.digest, method: 'GET' }, { afterBytes: 300_000 })
    const whole = ask(`${url}/ranges/growing/blobs/${blob.digest}`)
    await hold.reached

    const answer = await ask(`${url}/ranges/growing/blobs/${blob.digest}`, {
      headers: { Range: 'bytes=100000-199999' },
    })

    expect(answer.status).toBe(206)
    expect(answer.bytes).toEqual(blob.bytes.subarray(100_000, 200_000))
    hold.release()
    expect((await whole).bytes).toEqual(blob.bytes)
    expect(origin.count({ blob: blob.digest, method: 'GET' })).toBe(1)
  })

  test('far ahead costs one extra request, while the whole is filled in behind', async () => {
    const size = 12 * 1024 * 1024
    const large = await origin.pushImage('ranges/ahead', '1', {
      layers: [{ size, compression: 'none' }],
    })
    const blob = layerOf(large)
    await getManifest(url, 'ranges/ahead', '1')
    const end = origin.fault(
      { blob: blob.digest, method: 'GET' },
      { times: 1, gateAfter: 1000, gate: () => gate.promise },
    )
    const gate = Promise.withResolvers<void>()

    const answer = await ask(`${url}/ranges/ahead/blobs/${blob.digest}`, {
      headers: { Range: `bytes=${size}-${size + 99}` },
    })

    expect(answer.status).toBe(206)
    expect(answer.bytes).toEqual(blob.bytes.subarray(size, size + 100))
    expect(origin.count({ blob: blob.digest, method: 'GET' })).toBe(2)
    gate.resolve()
    const whole = await ask(`${url}/ranges/ahead/blobs/${blob.digest}`)
    expect(whole.bytes.equals(blob.bytes)).toBe(true)
    expect(origin.count({ blob: blob.digest, method: 'GET' })).toBe(2)
    end()
  })

  test('of a converted blob gives its bytes', async () => {
    const { layers } = await pull(url, 'app', '1-zstd')
    const path = `${url}/app/blobs/${layers[0]?.digest}`
    const whole = await ask(path)
    const part = await ask(path, { headers: { Range: 'bytes=4-103' } })
    expect(part.bytes).toEqual(whole.bytes.subarray(4, 104))
  })
})

describe('a range of a manifest', () => {
  test.each(['1', '1-zstd'])('%s is answered like one of a blob', async (tag) => {
    const path = `${url}/app/manifests/${tag}`
    const whole = await ask(path)
    const size = whole.bytes.byteLength
    expect(whole.headers['accept-ranges']).toBe('bytes')

    const one = await ask(path, { headers: { Range: 'bytes=-7' } })
    expect(one.status).toBe(206)
    expect(one.headers['content-range']).toBe(`bytes ${size - 7}-${size - 1}/${size}`)
    expect(one.headers['content-type']).toBe(whole.headers['content-type'])
    expect(one.bytes).toEqual(whole.bytes.subarray(-7))

    const several = await ask(path, { headers: { Range: 'bytes=5-9,0-6' } })
    expect(several.status).toBe(206)
    expect(several.bytes.toString()).toContain(`Content-Type: ${whole.headers['content-type']}`)
    expect(partsOf(several)).toEqual([
      { range: `bytes 5-9/${size}`, bytes: whole.bytes.subarray(5, 10) },
      { range: `bytes 0-6/${size}`, bytes: whole.bytes.subarray(0, 7) },
    ])

    const much = await ask(path, { headers: { Range: 'bytes=0-,0-' } })
    expect(partsOf(much).map(({ bytes }) => bytes)).toEqual([whole.bytes, whole.bytes])
    const none = await ask(path, { headers: { Range: `bytes=${size}-` } })
    expect(none.status).toBe(416)
    expect(none.headers['content-range']).toBe(`bytes */${size}`)
    const other = await ask(path, { headers: { Range: 'bytes=0-1', 'If-Range': '"other"' } })
    expect(other.status).toBe(200)
    const head = await ask(path, { method: 'HEAD', headers: { Range: 'bytes=0-1' } })
    expect([head.status, head.headers['content-length']]).toEqual([200, String(size)])
  })
})

function layerOf(one: FakeImage): { readonly digest: string; readonly bytes: Buffer } {
  const layer = one.layers[0]
  if (layer === undefined) throw new Error('an image of a test has a layer')
  return { digest: layer.digest, bytes: Buffer.from(layer.bytes) }
}

function partsOf(answer: Answer): { readonly range: string; readonly bytes: Buffer }[] {
  const boundary = /boundary=(\S+)/.exec(String(answer.headers['content-type']))?.[1] ?? ''
  expect(Number(answer.headers['content-length'])).toBe(answer.bytes.byteLength)
  return answer.bytes
    .toString('latin1')
    .split(`\r\n--${boundary}`)
    .slice(1, -1)
    .map((part) => {
      const [head = '', ...rest] = part.split('\r\n\r\n')
      const range = /Content-Range: (.*)/.exec(head)?.[1]?.trim() ?? ''
      return { range, bytes: Buffer.from(rest.join('\r\n\r\n'), 'latin1') }
    })
}
