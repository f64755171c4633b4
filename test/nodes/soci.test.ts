/** Real containers on a SOCI node, lazily from crossdock: by name (version 2), by referrers (version 1). */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Crossdock, startCrossdock } from '../helpers/crossdock-process.ts'
import { describeWith } from '../helpers/fixtures.ts'
import { readManifest } from '../helpers/fixtures-registry.ts'
import { LazyNode, layersOf } from '../helpers/nodes.ts'

const RUNS = [
  ['debian:12', ['cat', '/etc/debian_version']],
  ['node-app:1', ['node', '--version']],
] as const

const WAYS = [
  { way: 'version 2, by name', suffix: '-soci', env: {} },
  {
    way: 'version 1, among the referrers of the original',
    suffix: '',
    env: { SC_TOML: '[pull_modes.soci_v1]\nenable = true' },
  },
] as const

/** A file whose other name an upper layer hides still has the links that it has below, however the layers were unpacked. */
const OF_OVERLAYS = /: nlink is \d+, expected \d+$/

/** The spy of the node's script, behind which is crossdock. */
const SPY = '127.0.0.1:15201'

let crossdock: Crossdock

describeWith(['registry', 'sociNode'], 'a SOCI node', () => {
  beforeAll(async () => {
    crossdock = await startCrossdock({ config: { rules: [{ match: '**', attach: ['soci'] }] } })
    for (const [image] of RUNS) {
      for (const suffix of ['-soci', '']) {
        const { status, bytes } = await readManifest(`${crossdock.host}/${image}${suffix}`)
        expect(status, bytes.toString()).toBe(200)
      }
    }
  })
  afterAll(async () => {
    await crossdock?.[Symbol.asyncDispose]()
  })

  for (const { way, suffix, env } of WAYS) {
    test(`runs containers before their images have come: ${way}`, async () => {
      await using node = await LazyNode.start('soci', { ...env, SC_UP: crossdock.url })
      for (const [image, command] of RUNS) {
        const layers = await layersOf(crossdock, image)
        const reference = `${SPY}/${image}${suffix}`
        const facts = await node.lazy(reference, ...command)
        console.info(
          `${image}${suffix} (${way}): ${JSON.stringify({ ...facts, layers: undefined })}`,
        )
        expect(facts, JSON.stringify(facts, null, 1)).toMatchObject({ lazy: true, runExit: 0 })
        expect(Number(facts.fetchedLayerBytes)).toBeLessThan(layers.bytes)
        const problems = await node.treeProblems(reference, layers.paths)
        expect(problems.filter((problem) => !OF_OVERLAYS.test(problem))).toEqual([])
      }
    })
  }
})
