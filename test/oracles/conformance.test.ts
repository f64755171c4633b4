/** The distribution-spec's own conformance suite, reading side, on originals and on converted tags. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'vitest'
import { startCrossdock } from '../helpers/crossdock-process.ts'
import { describeWith } from '../helpers/fixtures.ts'
import { expectConformance } from '../helpers/oracles.ts'

/** The suite wants every tag that it reads in the tag list; suffixed names are listed only when asked for. */
const WITHOUT_LIST = { OCI_API_TAGS_LIST: 'false' }

describeWith(['registry', 'oracles'], 'conformance', () => {
  const runs: readonly [string, readonly string[], Readonly<Record<string, string>>][] = [
    ['debian', ['12'], {}],
    ['as/zstd/debian', ['12'], {}],
    ['debian', ['12-zstd', '12-none', '12-gzip'], WITHOUT_LIST],
    ['legacy', ['1'], {}],
    ['legacy', ['1-zstd', '1-none'], WITHOUT_LIST],
  ]
  for (const [repository, tags, env] of runs) {
    test(`${repository}:${tags.join(', :')}`, async () => {
      await using crossdock = await startCrossdock()
      const results = await mkdtemp(join(tmpdir(), 'crossdock-conformance-'))
      try {
        await expectConformance(crossdock.url, repository, tags, results, env)
      } finally {
        await rm(results, { recursive: true, force: true })
      }
    })
  }
})
