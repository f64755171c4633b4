/** Every real client in front of three servers on one PostgreSQL and one S3: each connection goes to the next of them. */
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  CLIENTS,
  type ClientName,
  forget,
  getClient,
  pull,
  removeClientFile,
  startClient,
  writeClientFile,
} from '../helpers/clients.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { pull as puller } from '../helpers/faults-puller.ts'
import { describeWith, program } from '../helpers/fixtures.ts'
import { mustRun } from '../helpers/fixtures-command.ts'
import { realClients } from '../helpers/fixtures-daemons.ts'
import { hasSharedPair, Replicas } from '../helpers/replicas.ts'

const PATIENCE_MS = 600_000

const FORMS = ['-zstd', '-estargz', '-none', '-zstdchunked', '-gzip']

/** One for each store: CRI and `ctr` share one, and so may not pull the same image at the same time. */
const AT_ONCE = CLIENTS.map(({ name }) => name).filter((name) => !name.startsWith('cri'))

const LAYERS = [{ size: 400_000 }, { size: 100_000 }]

describeWith(['clients', 'containerd'], 'three servers on one store', () => {
  let origin: FakeRegistry
  let replicas: Replicas

  beforeAll(async () => {
    if (!hasSharedPair) return
    origin = await FakeRegistry.start()
    const upstreams = { origin: { url: origin.url }, 'docker.io': { url: origin.url } }
    replicas = await Replicas.start({
      registry: origin,
      config: { upstreams, replicas: { listen: '127.0.0.1:0' } },
    })
    for (const { name } of CLIENTS) await startClient(name)
  }, PATIENCE_MS)

  afterAll(async () => {
    await replicas?.[Symbol.asyncDispose]()
    await origin?.[Symbol.asyncDispose]()
  })

  /** How often upstream gave each blob of a repository. */
  const blobGets = (name: string): readonly number[] => {
    const gets = origin.requests.filter(
      (one) => one.kind === 'blob' && one.method === 'GET' && one.name === name,
    )
    return [...Map.groupBy(gets, ({ reference }) => reference).values()].map((all) => all.length)
  }

  /** The servers that the client has asked for something of a repository. */
  const askedBy = (client: ClientName, name: string): number => {
    const { userAgent } = getClient(client)
    return replicas.all.filter(({ proxy }) =>
      proxy.crossdock
        .requests()
        .some((line) => userAgent.test(line.userAgent ?? '') && line.path.includes(`/${name}/`)),
    ).length
  }

  describe.skipIf(!hasSharedPair)('behind a round-robin', () => {
    for (const [i, { name, title }] of CLIENTS.entries()) {
      const suffix = FORMS[i % FORMS.length] ?? ''
      test(`${title} pulls 1 and 1${suffix} cold, and 1${suffix} warm`, async () => {
        const image = `clients/${name}`
        await origin.pushImage(image, '1', { layers: LAYERS })
        for (const form of ['', suffix, suffix]) {
          await forget(name)
          await pull(name, `${replicas.host}/${image}:1${form}`)
        }
        await forget(name)

        expect(new Set(blobGets(image))).toEqual(new Set([1]))
        expect(askedBy(name, image)).toBeGreaterThan(1)
      })
    }

    test('all clients at once pull one cold image: one GET a blob upstream, one conversion a layer', async () => {
      await origin.pushImage('clients/together', '1', { layers: LAYERS })
      const conversions = async () => {
        const each = replicas.all.map(({ proxy }) =>
          proxy.crossdock.metric('crossdock_layers_converted_total'),
        )
        return (await Promise.all(each)).reduce((sum, count) => sum + count, 0)
      }
      const before = await conversions()

      await Promise.all(
        AT_ONCE.map((name) => pull(name, `${replicas.host}/clients/together:1-none`)),
      )

      expect(blobGets('clients/together')).toEqual([1, 1, 1])
      expect((await conversions()) - before).toBe(LAYERS.length)
      for (const name of AT_ONCE) await forget(name)
    })

    for (const name of ['ctr21', 'ctr24'] as const) {
      test(`${name} pulls through a mirror entry that names the round-robin`, async () => {
        await origin.pushImage(`library/by-${name}`, '1', { layers: LAYERS })
        const file = 'hosts-replicas/docker.io/hosts.toml'
        const path = await writeClientFile(name, file, mirror(`http://${replicas.host}/as/zstd`))
        const env = { RC_HOSTS: path.replace('/docker.io/hosts.toml', '') }
        try {
          await pull(name, `docker.io/library/by-${name}:1`, env)
        } finally {
          await removeClientFile(name, 'hosts-replicas')
          await forget(name)
        }
        expect(blobGets(`library/by-${name}`)).toEqual([1, 1, 1])
      })
    }

    test('the stargz snapshotter runs an image by ranges of whichever server it comes to', async () => {
      const shell = await readFile(program('busybox'))
      const files = [
        { name: 'bin/', type: 'directory', mode: 0o755 },
        { name: 'bin/busybox', body: shell, mode: 0o755 },
        { name: 'bin/sh', type: 'symlink', linkname: 'busybox' },
        { name: 'noise', body: randomBytes(3_000_000) },
      ] as const
      await origin.pushImage('clients/lazy', '1', { layers: [{ files }] })
      await puller(replicas.base, 'clients/lazy', '1-estargz')
      const image = `${replicas.host}/clients/lazy:1-estargz`
      const call = async (...args: string[]) => {
        const { script, args: all, env } = realClients(args)
        return (await mustRun(script, all, { env })).stdout
      }

      await call('pull', 'lazy', image)
      expect(await call('run', 'lazy', image, '/bin/sh', '-c', 'echo it runs')).toBe('it runs\n')

      const servers = replicas.all.filter(({ proxy }) =>
        proxy.crossdock.requests().some(({ status, route }) => route === 'blob' && status === 206),
      )
      expect(servers.length).toBeGreaterThan(0)
      await forget('ctr21')
    })
  })
})

/** A mirror whose origin does not answer, so that nothing but the mirror can have served the pull. */
function mirror(url: string): string {
  return `server = "http://127.0.0.1:9"
[host."${url}"]
  capabilities = ["pull", "resolve"]
`
}
