/** A layer of very many files as SOCI and nydus: in bounded memory, and with the event loop free for others meanwhile. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startCrossdock } from '../helpers/crossdock-process.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { readManifest } from '../helpers/fixtures-registry.ts'
import { END, record } from '../helpers/tars.ts'

const FILES = 200_000
const MIB = 1024 ** 2
/** MiB, and the longest turn of the event loop, s, on a machine that others use as well. */
const CASES = [
  ['soci', 512, 1],
  ['nydus', 512, 1],
  ['nydus-ref', 512, 1],
] as const

function* smallFiles() {
  for (let i = 0; i < FILES; i += 1) {
    yield record({ name: `folder-${i % 997}/file-${i}`, body: Buffer.from(`content ${i}\n`) })
  }
  yield END
}

describe(`a layer of ${FILES} files`, () => {
  let origin: FakeRegistry
  beforeAll(async () => {
    origin = await FakeRegistry.start()
    await origin.pushImage('many', '1', { layers: [{ tar: Buffer.concat([...smallFiles()]) }] })
  })
  afterAll(() => origin[Symbol.asyncDispose]())

  test.each(CASES)(
    'becomes %s below %i MiB, and holds nobody up longer than %i s',
    async (form, limit, longest) => {
      const profiles = { soci: { format: 'soci', minLayerSize: 0 } }
      await using crossdock = await startCrossdock({ upstream: origin.host, config: { profiles } })
      await crossdock.metric('nodejs_eventloop_lag_p99_seconds')

      const answer = await readManifest(`${crossdock.host}/many:1-${form}`)

      const late = await crossdock.metric('nodejs_eventloop_lag_max_seconds')
      const rss = await crossdock.peakRss()
      console.info(
        `${form}: ${Math.round(rss / MIB)} MiB, event loop late by ${late.toFixed(3)} s at most`,
      )
      expect(answer.status, answer.bytes.toString()).toBe(200)
      expect(rss).toBeLessThan(limit * MIB)
      expect(late).toBeLessThan(longest)
    },
  )
})
