/**
 * Several real servers on one PostgreSQL and one bucket, behind a dumb round-robin; each has a data folder and wires to both of its
 * own, which tests may cut.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { S3Place } from '../../src/store/s3/place.ts'
import { FakeRegistry } from './fake-registry.ts'
import type { Faults } from './faults-preload.ts'
import { type ProxyOptions, TestProxy } from './faults-proxy.ts'
import { hasPostgres } from './postgres.ts'
import { type PostgresServer, startPostgres } from './postgres-server.ts'
import { type RoundRobin, roundRobin } from './round-robin.ts'
import { S3_CREDENTIALS } from './s3-server.ts'
import { blobsText, freshPlace, hasS3 } from './s3-store.ts'
import { S3Wire } from './s3-wire.ts'
import { type TcpSwitch, tcpSwitch } from './tcp-switch.ts'

/** Whether PostgreSQL and an S3 are installed. */
export const hasSharedPair = hasPostgres && hasS3

export interface ReplicasOptions {
  /** Default 3. */
  readonly count?: number
  /** Put over the defaults of `TestProxy`, for every replica. */
  readonly config?: Readonly<Record<string, unknown>>
  /** Default: one of its own, which ends with the replicas. */
  readonly registry?: FakeRegistry
  /** Of one replica, by its number from 0: a shifted clock, say. */
  readonly faults?: (replica: number) => Faults | undefined
  readonly env?: Readonly<Record<string, string>>
  /** Clients are sent to S3, which has a name of its own then: `localhost`. Default: no. */
  readonly redirect?: boolean
}

/** One server: kill and start it by `proxy`. */
export interface Replica {
  readonly proxy: TestProxy
  /** Its own way to PostgreSQL. */
  readonly postgres: TcpSwitch
  /** Its own way to S3. */
  readonly s3: S3Wire
  /** False once it was drained. */
  isInTurn: boolean
}

export class Replicas implements AsyncDisposable {
  readonly registry: FakeRegistry
  readonly postgres: PostgresServer
  /** S3 as it is, without the wires of replicas. */
  readonly place: S3Place
  readonly all: Replica[] = []
  readonly #owned: AsyncDisposableStack
  readonly #options: ReplicasOptions
  readonly #balancer: RoundRobin

  private constructor(parts: {
    readonly registry: FakeRegistry
    readonly postgres: PostgresServer
    readonly place: S3Place
    readonly balancer: RoundRobin
    readonly owned: AsyncDisposableStack
    readonly options: ReplicasOptions
  }) {
    this.registry = parts.registry
    this.postgres = parts.postgres
    this.place = parts.place
    this.#balancer = parts.balancer
    this.#owned = parts.owned
    this.#options = parts.options
    this.#balancer.targets = () => this.inTurn.map(({ proxy }) => proxy.crossdock.host)
  }

  static async start(options: ReplicasOptions = {}): Promise<Replicas> {
    await using opening = new AsyncDisposableStack()
    const registry = options.registry ?? opening.use(await FakeRegistry.start())
    const folder = await mkdtemp(join(tmpdir(), 'crossdock-replicas-'))
    await rm(folder, { recursive: true })
    const postgres = opening.use(await startPostgres(folder))
    const place = await freshPlace()
    const balancer = opening.use(await roundRobin(() => []))
    const owned = opening.move()
    const replicas = new Replicas({ registry, postgres, place, balancer, owned, options })
    try {
      const { count = 3 } = options
      await Promise.all(Array.from({ length: count }, () => replicas.add()))
      return replicas
    } catch (error) {
      await replicas[Symbol.asyncDispose]()
      throw error
    }
  }

  /** Of the round-robin, `http://HOST:PORT/v2`. */
  get base(): string {
    return `${this.#balancer.url}/v2`
  }

  /** The round-robin, as clients name it: `127.0.0.1:PORT`. */
  get host(): string {
    return new URL(this.base).host
  }

  /** Replicas that the round-robin knows. */
  get inTurn(): readonly Replica[] {
    return this.all.filter(({ isInTurn }) => isInTurn)
  }

  /** One more, which is in turn as soon as it listens; `more` is put over the options of all. */
  async add(more: ProxyOptions = {}): Promise<Replica> {
    const number = this.all.length
    const postgres = this.#owned.use(await tcpSwitch(this.postgres.port))
    const s3 = this.#owned.use(await S3Wire.start(this.place.endpoint ?? ''))
    const faults = this.#options.faults?.(number)
    const proxy = await TestProxy.start({
      registry: this.registry,
      ...(faults && { faults }),
      ...more,
      env: { ...S3_CREDENTIALS, ...this.#options.env, ...more.env },
      config: {
        store: this.storeThrough(postgres, s3),
        cache: { tagWindow: '1d' },
        ...this.#options.config,
        ...more.config,
      },
    })
    const replica: Replica = { proxy: this.#owned.use(proxy), postgres, s3, isInTurn: true }
    this.all.push(replica)
    return replica
  }

  /** What `store` of a configuration says, by ways that may be cut. */
  storeThrough(postgres: { readonly port: number }, s3: { readonly url: string }) {
    const catalog = new URL(this.postgres.url('postgres'))
    catalog.port = String(postgres.port)
    const blobs = (endpoint: string) => blobsText({ ...this.place, endpoint })
    if (!this.#options.redirect) return { catalog: catalog.href, blobs: blobs(s3.url) }
    const named = blobs(s3.url.replace('127.0.0.1', 'localhost'))
    return { catalog: catalog.href, blobs: named, redirect: true }
  }

  /** Nothing of one replica reaches the others' PostgreSQL and S3; what it waits for neither comes nor breaks. */
  cutOff({ postgres, s3 }: Replica): void {
    postgres.partition()
    s3.fault = () => ({ kind: 'delay', ms: 3_600_000 })
  }

  reconnect({ postgres, s3 }: Replica): void {
    postgres.turnTo(this.postgres.port)
    s3.fault = () => undefined
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync()
  }
}
