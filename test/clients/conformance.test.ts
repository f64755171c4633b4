/** The distribution-spec's own conformance suite, reading side, on an original and on converted tags. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'vitest'
import { startCrossdock } from '../helpers/crossdock-process.ts'
import { describeWith } from '../helpers/fixtures.ts'
import { expectConformance } from '../helpers/oracles.ts'

describeWith(['registry', 'oracles'], 'conformance', () => {
  for (const references of [['12'], ['12-zstd'], ['12-gzip', '12-none']]) {
    test(`debian:${references.join(', debian:')}`, async () => {
      await using crossdock = await startCrossdock()
      const results = await mkdtemp(join(tmpdir(), 'crossdock-conformance-'))
      try {
        await expectConformance(crossdock.url, 'debian', references, results)
      } finally {
        await rm(results, { recursive: true, force: true })
      }
    })
  }

  test('a Docker schema 2 list and what becomes of it', async () => {
    await using crossdock = await startCrossdock()
    const results = await mkdtemp(join(tmpdir(), 'crossdock-conformance-'))
    try {
      await expectConformance(crossdock.url, 'legacy', ['1', '1-zstd', '1-none'], results)
    } finally {
      await rm(results, { recursive: true, force: true })
    }
  })
})
