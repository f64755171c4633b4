/** Several servers on one PostgreSQL and one S3, behind a dumb round-robin. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { ask } from '../helpers/faults-http.ts'
import { pull } from '../helpers/faults-puller.ts'
import { ROOT } from '../helpers/fixtures.ts'
import { runCommand } from '../helpers/fixtures-command.ts'
import { bytesOf } from '../helpers/pulling-crowd.ts'
import { S3_CREDENTIALS } from '../helpers/s3-server.ts'
import { hasSharedPair, type Replica, Replicas } from '../helpers/replicas.ts'

describe.skipIf(!hasSharedPair)('three servers on one store', () => {
  let origin: FakeRegistry
  let replicas: Replicas
  beforeAll(async () => {
    origin = await FakeRegistry.start()
    replicas = await Replicas.start({ registry: origin })
  })
  afterEach(() => origin.clearFaults())
  afterAll(async () => {
    await replicas?.[Symbol.asyncDispose]()
    await origin?.[Symbol.asyncDispose]()
  })

  test('serve what any of them has fetched and made, without asking upstream again', async () => {
    await origin.pushImage('shared/app', '1', { layers: [{ size: 300_000 }, {}] })
    const [first, ...others] = replicas.all
    const made = bytesOf(await pull(first?.proxy.base ?? '', 'shared/app', '1-zstd'))
    const asked = origin.count({ kind: 'blob', method: 'GET' })

    for (const { proxy } of others) {
      expect(bytesOf(await pull(proxy.base, 'shared/app', '1-zstd'))).toEqual(made)
    }
    expect(bytesOf(await pull(replicas.base, 'shared/app', '1-zstd'))).toEqual(made)

    expect(origin.count({ kind: 'blob', method: 'GET' })).toBe(asked)
  })

  test('share with commands on other machines: what one of those does, all serve at once', async () => {
    const image = await origin.pushImage('shared/staged', '1', { layers: [{ size: 100_000 }] })
    await origin.pushImage('shared/kept', '1')
    const [one = missing(), other = missing()] = replicas.all
    await using machine = await folder()
    const run = async (...args: string[]) => {
      const at = ['--config', one.proxy.crossdock.configFile, '--data', join(machine.path, 'data')]
      const command = [join(ROOT, 'src/main.ts'), ...args, ...at]
      const env = { ...S3_CREDENTIALS }
      const { status, stdout, stderr } = await runCommand(process.execPath, command, { env })
      if (status !== 0) throw new Error(stderr)
      return stdout
    }
    await run('stage', 'origin/shared/staged:1')
    const asked = origin.count({ kind: 'blob', method: 'GET' })

    const staged = await pull(other.proxy.base, 'shared/staged', '1')
    expect(staged.digest).toBe(image.digest)
    expect(origin.count({ kind: 'blob', method: 'GET' })).toBe(asked)
    await run('pin', 'origin/shared/staged:1')
    expect(await run('list')).toMatch(/shared\/staged/)
    await pull(one.proxy.base, 'shared/kept', '1')
    const bundle = join(machine.path, 'bundle.tar')
    await run('export', 'origin/shared/kept:1', '--output', bundle)
    await run('remove', 'origin/shared/kept:1')
    expect(await run('list')).not.toMatch(/shared\/kept/)
    expect(await run('gc')).toMatch(/pinned/)
    await run('import', bundle)
    expect(await run('list')).toMatch(/shared\/kept/)
    expect(bytesOf(await pull(other.proxy.base, 'shared/staged', '1'))).toEqual(bytesOf(staged))
    await run('verify')
  })

  test('say which of PostgreSQL and S3 is away, soon, and serve what they have meanwhile', async () => {
    await origin.pushImage('shared/warm', '1', { layers: [{ size: 300_000 }] })
    const [one = missing(), other = missing()] = replicas.all
    const before = bytesOf(await pull(one.proxy.base, 'shared/warm', '1-zstd'))
    const ready = async ({ proxy }: Replica) => {
      const answer = await ask(`${proxy.crossdock.url}/readyz`)
      return [answer.status, answer.bytes.toString()] as const
    }
    expect(await ready(one)).toEqual([200, 'ok\n'])

    const began = performance.now()
    one.postgres.partition()
    const [status, why] = await ready(one)
    expect(performance.now() - began).toBeLessThan(5_000)
    expect(status).toBe(503)
    expect(why).toMatch(
      /^not ready: cannot use the catalog on PostgreSQL at .*: PostgreSQL does not answer/,
    )
    expect(bytesOf(await pull(one.proxy.base, 'shared/warm', '1-zstd'))).toEqual(before)

    one.s3.fault = () => ({ kind: 'reset' })
    const [, both] = await ready(one)
    expect(both).toMatch(/PostgreSQL does not answer.*; and cannot use the bucket in s3:/)
    expect(await ready(other)).toEqual([200, 'ok\n'])

    replicas.reconnect(one)
    await expect.poll(async () => (await ready(one))[0], { timeout: 30_000 }).toBe(200)
    one.s3.fault = () => ({ kind: 'delay', ms: 4_000 })
    expect((await ready(one))[1]).toMatch(/^not ready: cannot use the bucket in s3:.*: /)
    replicas.reconnect(one)
  })
})

async function folder() {
  const path = await mkdtemp(join(tmpdir(), 'crossdock-machine-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}

function missing(): never {
  throw new Error('there are too few')
}
