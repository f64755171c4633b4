import { expect, test } from 'vitest'
import { createSettings, upstreamLimits } from '../../src/settings.ts'
import { configWith } from '../helpers/fake-workers.ts'

const config = configWith({
  convert: { jobs: 4 },
  limits: {
    ...{ connections: 1_000, clientConnections: 16, downloads: 9, clientDisk: 1_000 },
    ...{ upstreamConnections: 1, upstreamQueue: 10 },
  },
})

test('what a machine bounds is divided among its processes, and nobody is left without', () => {
  const { conversion, clients, downloads } = createSettings(config, 8)

  expect(conversion.jobs).toBe(1)
  expect(clients).toMatchObject({ connections: 125, clientConnections: 8 })
  expect(downloads).toMatchObject({ downloads: 2, clientDisk: 125 })
  expect(upstreamLimits(config.limits, 8)).toMatchObject({
    upstreamConnections: 1,
    upstreamQueue: 2,
    retries: config.limits.retries,
  })
})

test('what is divided stays so when the configuration is replaced', () => {
  const settings = createSettings(config, 2)

  settings.replace(configWith({ convert: { jobs: 40 } }))

  expect(settings.conversion.jobs).toBe(20)
  expect(settings.downloads.clientDisk).toBe(Number.POSITIVE_INFINITY)
})

test('a process that is alone has all of it', () => {
  const { conversion, clients, downloads } = createSettings(config)

  expect(conversion.jobs).toBe(4)
  expect(clients).toMatchObject({ connections: 1_000, clientConnections: 16 })
  expect(downloads).toMatchObject({ downloads: 9, clientDisk: 1_000 })
  expect(upstreamLimits(config.limits, 1)).toEqual(config.limits)
})
