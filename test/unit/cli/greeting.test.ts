import { expect, it } from 'vitest'
import { startFacts } from '../../../src/cli/greeting.ts'
import { loadConfig } from '../../../src/config/load.ts'

it('says at the start which store is used and where other servers reach it, and no password', async () => {
  const env = {
    CROSSDOCK_STORE__CATALOG: 'postgres://me:hunter2@db:6432/crossdock?password=hunter2',
    CROSSDOCK_STORE__BLOBS: 's3://bucket/prefix?endpoint=http://127.0.0.1:9000',
    CROSSDOCK_REPLICAS__LISTEN: ':5002',
  }
  const { config } = await loadConfig({ env, cwd: '/nowhere', systemFile: '/nowhere/at/all' })

  const facts = startFacts({ config }, [], undefined, '10.0.0.7:5002')

  expect(facts).toMatchObject({
    ...{ catalog: 'postgres://db:6432/crossdock', blobs: 's3://bucket/prefix' },
    peers: '10.0.0.7:5002',
  })
  expect(JSON.stringify(facts)).not.toContain('hunter2')
})
