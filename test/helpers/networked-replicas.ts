/** Three real servers on one store, each a machine of its own in a network, as are upstream, PostgreSQL, S3 and whoever pulls. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FakeRegistry } from './fake-registry.ts'
import { TestProxy } from './faults-proxy.ts'
import { mustRun } from './fixtures-command.ts'
import { type Machine, Network } from './network.ts'
import { startPostgres } from './postgres-server.ts'
import { roundRobin } from './round-robin.ts'
import { S3_CREDENTIALS } from './s3-server.ts'
import { blobsText, freshPlace } from './s3-store.ts'

/** Where each server listens, for clients and for the others. */
const PORT = 5_000
const PEERS_PORT = 5_002

export interface NetworkedReplica {
  readonly proxy: TestProxy
  readonly machine: Machine
  /** As clients reach this one: `http://127.0.0.1:PORT/v2`. */
  readonly base: string
  readonly url: string
}

export class NetworkedReplicas implements AsyncDisposable {
  readonly network: Network
  readonly registry: FakeRegistry
  readonly postgres: Machine
  readonly s3: Machine
  readonly upstream: Machine
  readonly all: readonly NetworkedReplica[]
  /** Of a dumb round-robin over all. */
  readonly base: string
  readonly #owned: AsyncDisposableStack

  private constructor(
    parts: Pick<
      NetworkedReplicas,
      'network' | 'registry' | 'postgres' | 's3' | 'upstream' | 'all' | 'base'
    >,
    owned: AsyncDisposableStack,
  ) {
    this.network = parts.network
    this.registry = parts.registry
    this.postgres = parts.postgres
    this.s3 = parts.s3
    this.upstream = parts.upstream
    this.all = parts.all
    this.base = parts.base
    this.#owned = owned
  }

  static async start(count = 3): Promise<NetworkedReplicas> {
    await using opening = new AsyncDisposableStack()
    const network = opening.use(await Network.open())
    const registry = opening.use(await FakeRegistry.start())
    const folder = await mkdtemp(join(tmpdir(), 'crossdock-networked-'))
    await rm(folder, { recursive: true })
    const database = opening.use(await startPostgres(folder))
    const place = await freshPlace()
    const endpoint = new URL(place.endpoint ?? '')
    const offered = async (port: number) => {
      const machine = await network.machine()
      await network.offer(machine, port)
      return machine
    }
    const upstream = await offered(Number(new URL(registry.url).port))
    const postgres = await offered(database.port)
    const s3 = await offered(Number(endpoint.port))
    const clients = await network.machine()
    const catalog = new URL(database.url('postgres'))
    catalog.hostname = postgres.address
    endpoint.hostname = s3.address
    const store = {
      catalog: catalog.href,
      blobs: blobsText({ ...place, endpoint: endpoint.origin }),
    }
    const all = await Promise.all(
      Array.from({ length: count }, async (): Promise<NetworkedReplica> => {
        const machine = await network.machine()
        const origin = { url: `http://${upstream.address}:${new URL(registry.url).port}` }
        const proxy = opening.use(
          await TestProxy.start({
            registry,
            command: machine.command,
            env: S3_CREDENTIALS,
            config: {
              store,
              upstreams: { origin },
              listen: [{ address: `${machine.address}:${PORT}` }],
              replicas: { listen: `${machine.address}:${PEERS_PORT}` },
              cache: { tagWindow: '1d' },
              limits: { retries: 0, connections: 2_000, clientConnections: 2_000 },
            },
          }),
        )
        const port = await network.lead(clients, `${machine.address}:${PORT}`)
        const url = `http://127.0.0.1:${port}`
        return { proxy, machine, url, base: `${url}/v2` }
      }),
    )
    const targets = all.map(({ url }) => new URL(url).host)
    const balancer = opening.use(await roundRobin(() => targets))
    const base = `${balancer.url}/v2`
    const parts = { network, registry, postgres, s3, upstream, all, base }
    return new NetworkedReplicas(parts, opening.move())
  }

  /** The sum of a metric over all of them, from within their namespaces. */
  async metric(name: string, labels = ''): Promise<number> {
    const texts = await Promise.all(
      this.all.map(async ({ proxy, machine }) => {
        const [first = '', ...words] = machine.command
        const url = `${proxy.crossdock.adminUrl}/metrics`
        return (await mustRun(first, [...words, 'curl', '--silent', '--fail', url])).stdout
      }),
    )
    return texts
      .flatMap((text) => text.split('\n'))
      .filter((line) => /^[a-z]/.test(line) && line.startsWith(name) && line.includes(labels))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync()
  }
}
