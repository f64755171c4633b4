/** Many ranges in one request, against a plain implementation: byte for byte, whatever becomes of the blob meanwhile. */
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { FakeLayer } from '../helpers/fake-image.ts'
import { type Answer, ask, open } from '../helpers/faults-http.ts'
import { START_MS, TestProxy } from '../helpers/faults-proxy.ts'
import { getManifest, pull } from '../helpers/faults-puller.ts'
import { removeBlob } from '../helpers/stored.ts'

const MIB = 1024 ** 2

type Spec = { readonly start: number; readonly last?: number } | { readonly suffix: number }

interface Part {
  readonly start: number
  readonly end: number
}

let proxy: TestProxy

beforeAll(async () => {
  proxy = await TestProxy.start()
}, START_MS)

afterAll(() => proxy?.[Symbol.asyncDispose]())

test('every list of ranges is answered as a plain implementation answers it', async () => {
  const layer = await pushLayer('plain', 600_000)
  await pull(proxy.base, 'plain', '1')
  const { layers } = await pull(proxy.base, 'plain', '1-zstd')
  const converted = `plain/blobs/${layers[0]?.digest}`
  const blobs = [
    { path: `plain/blobs/${layer.digest}`, bytes: layer.bytes },
    { path: converted, bytes: (await ask(`${proxy.base}/${converted}`)).bytes },
    { path: 'plain/manifests/1', bytes: (await ask(`${proxy.base}/plain/manifests/1`)).bytes },
  ]

  const cases = fc
    .constantFrom(...blobs)
    .chain((blob) => fc.record({ blob: fc.constant(blob), specs: specsOf(blob.bytes.byteLength) }))
  await fc.assert(
    fc.asyncProperty(cases, async ({ blob, specs }) => {
      const answer = await ask(`${proxy.base}/${blob.path}`, {
        headers: { Range: headerOf(specs) },
      })
      expectParts(answer, blob.bytes, specs)
    }),
    { numRuns: 120 },
  )
}, 60_000)

test('ranges of a blob that arrives meanwhile, at any pace, are the same', async () => {
  const size = 500_000
  await fc.assert(
    fc.asyncProperty(
      specsOf(size),
      fc.integer({ min: 0, max: size }),
      async (specs, afterBytes) => {
        const name = `arriving/${randomName()}`
        const layer = await pushLayer(name, size)
        await getManifest(proxy.base, name, '1')
        const hold = proxy.registry.hold({ blob: layer.digest, method: 'GET' }, { afterBytes })
        const answer = ask(`${proxy.base}/${name}/blobs/${layer.digest}`, {
          headers: { Range: headerOf(specs) },
        })
        if (partsOf(specs, layer.bytes.byteLength).length > 0) await hold.reached
        hold.release()
        expectParts(await answer, layer.bytes, specs)
        proxy.registry.clearFaults()
      },
    ),
    { numRuns: 25 },
  )
}, 60_000)

test.each([
  ['small', Array.from({ length: 300 }, (_, i) => ({ start: i * 700, last: i * 700 + 599 }))],
  ['as large as the first', [{ start: 0, last: 23 * MIB - 1 }]],
])(
  'ranges of a blob that is evicted after the first come from upstream, each with its own bytes: %s',
  async (size, others) => {
    const name = `evicted/${size.replaceAll(' ', '-')}`
    const layer = await pushLayer(name, 33 * MIB)
    await pull(proxy.base, name, '1')
    const specs = [{ start: 9 * MIB, last: 32 * MIB - 1 }, ...others]
    const head = await open(`${proxy.base}/${name}/blobs/${layer.digest}`, {
      headers: { Range: headerOf(specs) },
    })
    // The first one is larger than what the two sides of a connection hold, so the server has not got to the second.
    await removeBlob(proxy.data, layer.digest)
    // The whole comes slowly, so that the first range lies far ahead of it.
    const slow = { times: 1, bytesPerSecond: 30 * MIB }
    proxy.registry.fault({ blob: layer.digest, method: 'GET' }, slow)

    const { status, headers } = head
    expectParts({ status, headers, ...(await head.body) }, layer.bytes, specs)
  },
)

test('many who ask for many ranges at once get along with few open files', async () => {
  await using cramped = await TestProxy.start({
    registry: proxy.registry,
    command: ['sh', '-c', 'ulimit -n 400; exec "$0" "$@"'],
  })
  const layer = await pushLayer('cramped', 2 * MIB)
  await pull(cramped.base, 'cramped', '1')
  const specs = Array.from({ length: 1024 }, (_, i) => ({ start: i * 2000, last: i * 2000 + 99 }))
  const asks = Array.from({ length: 16 }, () =>
    ask(`${cramped.base}/cramped/blobs/${layer.digest}`, { headers: { Range: headerOf(specs) } }),
  )
  for (const answer of await Promise.all(asks)) expectParts(answer, layer.bytes, specs)
}, 60_000)

async function pushLayer(name: string, size: number): Promise<FakeLayer> {
  const { layers } = await proxy.registry.pushImage(name, '1', {
    layers: [{ size, compression: 'none' }],
  })
  const [layer] = layers
  if (layer === undefined) throw new Error('an image of a test has a layer')
  return layer
}

let names = 0
function randomName(): string {
  names += 1
  return String(names)
}

/** Mostly a few small ranges, sometimes a thousand, some large, some beyond the end. */
function specsOf(size: number): fc.Arbitrary<readonly Spec[]> {
  const start = fc.oneof(fc.nat(size - 1), fc.nat(size + 1000), fc.constantFrom(0, size - 1, size))
  const length = fc.oneof(
    { arbitrary: fc.integer({ min: 1, max: 6000 }), weight: 6 },
    { arbitrary: fc.constantFrom(1, 128 * 1024 - 1, 128 * 1024, 128 * 1024 + 1), weight: 1 },
    { arbitrary: fc.integer({ min: 1, max: size }), weight: 1 },
  )
  const spec: fc.Arbitrary<Spec> = fc.oneof(
    {
      arbitrary: fc.tuple(start, length).map(([at, many]) => ({ start: at, last: at + many - 1 })),
      weight: 20,
    },
    {
      arbitrary: fc
        .integer({ min: Math.max(0, size - 3000), max: size + 10 })
        .map((at) => ({ start: at })),
      weight: 1,
    },
    { arbitrary: fc.nat(3000).map((suffix) => ({ suffix })), weight: 1 },
  )
  return fc.oneof(
    { arbitrary: fc.array(spec, { minLength: 1, maxLength: 12 }), weight: 6 },
    { arbitrary: fc.array(spec, { minLength: 60, maxLength: 200, size: 'max' }), weight: 2 },
    // The same ones again and again.
    {
      arbitrary: fc
        .tuple(spec, fc.integer({ min: 2, max: 20 }))
        .map(([one, count]) => Array.from({ length: count }, () => one)),
      weight: 1,
    },
  )
}

function headerOf(specs: readonly Spec[]): string {
  const texts = specs.map((spec) =>
    'suffix' in spec ? `-${spec.suffix}` : `${spec.start}-${spec.last ?? ''}`,
  )
  return `bytes=${texts.join(',')}`
}

function partsOf(specs: readonly Spec[], size: number): readonly Part[] {
  return specs.flatMap((spec) => {
    const start = 'suffix' in spec ? Math.max(0, size - spec.suffix) : spec.start
    const end = 'suffix' in spec ? size : Math.min(size, (spec.last ?? size) + 1)
    return start < end ? [{ start, end }] : []
  })
}

/** RFC 9110 section 14, in the order asked and never merged. */
function expectParts(answer: Answer, bytes: Uint8Array, specs: readonly Spec[]): void {
  const size = bytes.byteLength
  const parts = partsOf(specs, size)
  const [only] = parts
  if (only === undefined) {
    expect(answer.status).toBe(416)
    return
  }
  const bodies = parts.map(({ start, end }) => bytes.subarray(start, end))
  const rangeOf = ({ start, end }: Part) => `bytes ${start}-${end - 1}/${size}`
  expect(answer.status).toBe(206)
  expect(answer.isWhole).toBe(true)
  if (parts.length === 1) {
    expect(answer.headers['content-range']).toBe(rangeOf(only))
    expectBytes(answer, bodies)
    return
  }
  const [, boundary] =
    /^multipart\/byteranges; boundary=(\w+)$/.exec(answer.headers['content-type'] ?? '') ?? []
  const mediaType = /Content-Type: (.*)/
    .exec(answer.bytes.subarray(0, 300).toString('latin1'))?.[1]
    ?.trim()
  const heads = parts.map(
    (part) =>
      `\r\n--${boundary}\r\nContent-Type: ${mediaType}\r\nContent-Range: ${rangeOf(part)}\r\n\r\n`,
  )
  expectBytes(answer, [
    ...bodies.flatMap((body, i) => [Buffer.from(heads[i] ?? ''), body]),
    Buffer.from(`\r\n--${boundary}--\r\n`),
  ])
}

/** Without a difference of a megabyte in the report. */
function expectBytes(answer: Answer, pieces: readonly Uint8Array[]): void {
  const expected = Buffer.concat(pieces)
  expect(Number(answer.headers['content-length'])).toBe(expected.byteLength)
  expect(answer.bytes.byteLength).toBe(expected.byteLength)
  let same = 0
  while (same < expected.byteLength && answer.bytes[same] === expected[same]) same += 1
  expect(same, 'bytes until the first difference').toBe(expected.byteLength)
}
