/** Equal sources give equal digests, whatever the line of Node.js and however many layers and processors work at a time. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { type CrossdockOptions, startCrossdock } from '../helpers/crossdock-process.ts'
import { CACHE, describeWith } from '../helpers/fixtures.ts'
import { mustRun } from '../helpers/fixtures-command.ts'
import { readManifest } from '../helpers/fixtures-registry.ts'

const NODE_24 = join(CACHE, 'node24', 'node_modules', 'node', 'bin', 'node')
const IMAGES = ['debian:12', 'mixed:1', 'plain-src:1', 'zstd-src:1', 'tricky:1', 'many-layers:1']
const PROFILES = ['zstd', 'gzip', 'none', 'estargz', 'zstdchunked']

describeWith(['registry'], 'determinism', () => {
  let expected: Readonly<Record<string, string>>
  beforeAll(async () => {
    if (!existsSync(NODE_24)) {
      const folder = join(CACHE, 'node24')
      await mustRun('npm', ['install', '--prefix', folder, '--no-audit', '--no-fund', 'node@24'])
    }
    expected = await convertAll({ config: withJobs(8) })
  }, 600_000)

  test('has something to compare', () => {
    expect(Object.keys(expected).length).toBeGreaterThan(IMAGES.length * 3)
  })

  test('one layer at a time gives the digests of eight', async () => {
    expect(await convertAll({ config: withJobs(1) })).toEqual(expected)
  })

  test('one processor gives the digests of all', async () => {
    // Node asks how many it may use, and sizes its encoders by that.
    const options = { command: ['taskset', '--cpu-list', '0'], config: withJobs(8) }
    expect(await convertAll(options)).toEqual(expected)
  })

  test('Node 24 gives the digests of Node 26', async () => {
    const { stdout } = await mustRun(NODE_24, ['--version'])
    expect(stdout).toMatch(/^v24\./)
    expect(await convertAll({ node: NODE_24, config: withJobs(8) })).toEqual(expected)
  })
})

function withJobs(jobs: number): Readonly<Record<string, unknown>> {
  return { convert: { jobs } }
}

/** The digest of every image in every form. */
async function convertAll(options: CrossdockOptions): Promise<Readonly<Record<string, string>>> {
  await using crossdock = await startCrossdock(options)
  const digests: Record<string, string> = {}
  for (const profile of PROFILES) {
    const isThere = (await fetch(`${crossdock.url}/as/${profile}/v2/`)).status === 200
    if (!isThere) continue
    for (const image of IMAGES) {
      const answer = await readManifest(`${crossdock.host}/${image}-${profile}`)
      expect(answer.status, `${image}-${profile}: ${answer.bytes}`).toBe(200)
      digests[`${image}-${profile}`] = answer.digest
    }
  }
  return digests
}
