/** Real containers on a nydus node, lazily from crossdock: by name, by an index with both forms, by referrers. */
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { type Crossdock, startCrossdock } from '../helpers/crossdock-process.ts'
import { describeWith } from '../helpers/fixtures.ts'
import { readImage, readManifest } from '../helpers/fixtures-registry.ts'
import { LazyNode, layersOf } from '../helpers/nodes.ts'

const RUNS = [
  ['debian:12', ['cat', '/etc/debian_version'], /^12\./],
  ['node-app:1', ['node', '--version'], /^v\d+\./m],
] as const

const WAYS = [
  { way: 'native, by name', suffix: '-nydus', env: {} },
  { way: 'over the original layers, by name', suffix: '-nydus-ref', env: {} },
  { way: 'beside the original, in one index', suffix: '-nydus-both', env: { NC_INDEX: '1' } },
  { way: 'among the referrers of the original', suffix: '', env: { NC_REFERRER: '1' } },
] as const

let crossdock: Crossdock

/** Made before the node asks, which waits for seconds alone. */
async function stage(image: string, suffix: string): Promise<void> {
  const { status, bytes } = await readManifest(`${crossdock.host}/${image}${suffix}`)
  expect(status, bytes.toString()).toBe(200)
  if (suffix !== '') return
  const { digest } = await readImage(`${crossdock.host}/${image}`)
  const [name] = image.split(':')
  const url = `${crossdock.url}/v2/${name}/referrers/${digest}`
  const isListed = async () => (await fetch(url)).status === 200
  await vi.waitUntil(isListed, { timeout: 300_000, interval: 500 })
}

async function runLazily(node: LazyNode, image: string, command: readonly string[]) {
  const from = crossdock.requests().length
  const began = performance.now()
  await node.call('pull', image)
  const pulled = performance.now()
  const said = await node.call('run', image, ...command)
  const ran = performance.now()
  const bytes = crossdock
    .requests()
    .slice(from)
    .filter(({ route, method }) => route === 'blob' && method === 'GET')
    .reduce((sum, one) => sum + one.bytes, 0)
  return { said, bytes, pullMs: Math.round(pulled - began), runMs: Math.round(ran - began) }
}

describeWith(['registry', 'nydusNode'], 'a nydus node', () => {
  beforeAll(async () => {
    crossdock = await startCrossdock({
      config: {
        profiles: { 'nydus-both': { format: 'nydus', index: 'both' } },
        rules: [{ match: '**', attach: ['nydus'] }],
      },
    })
  })
  afterAll(async () => {
    await crossdock?.[Symbol.asyncDispose]()
  })

  for (const [image, command, expected] of RUNS) {
    for (const { way, suffix, env } of WAYS) {
      test(`runs ${image} before it has come: ${way}`, async () => {
        await stage(image, suffix)
        const layers = await layersOf(crossdock, image)
        await using node = await LazyNode.start('nydus', { ...env, NC_HTTP: crossdock.host })
        const reference = `${crossdock.host}/${image}${suffix}`
        const { said, ...facts } = await runLazily(node, reference, command)
        console.info(`${image}${suffix}: ${JSON.stringify({ ...facts, layerBytes: layers.bytes })}`)
        expect(said).toMatch(expected)
        expect(facts.bytes).toBeLessThan(layers.bytes * 0.6)
        expect(await node.treeProblems(reference, layers.paths)).toEqual([])
      })
    }
  }
})
