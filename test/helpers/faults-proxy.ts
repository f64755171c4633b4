/** crossdock as a process in front of a fake registry, with a data folder that outlives its restarts. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Crossdock, type CrossdockOptions, startCrossdock } from './crossdock-process.ts'
import { FakeRegistry } from './fake-registry.ts'
import type { Faults } from './faults-preload.ts'
import { isSharedPair } from './pair.ts'

/** For hooks that start a process on a machine that has much to do. */
export const START_MS = 60_000

export interface ProxyOptions extends Omit<CrossdockOptions, 'upstream' | 'config'> {
  /** Put over the impatient defaults, key by key of the top level. */
  readonly config?: Readonly<Record<string, unknown>>
  /** A registry that is there already and stays. */
  readonly registry?: FakeRegistry
  /** For the first process alone. */
  readonly faults?: Faults
}

export class TestProxy implements AsyncDisposable {
  readonly registry: FakeRegistry
  readonly data: string
  crossdock: Crossdock
  readonly #options: ProxyOptions
  readonly #folder: string

  private constructor(
    registry: FakeRegistry,
    data: string,
    folder: string,
    crossdock: Crossdock,
    options: ProxyOptions,
  ) {
    this.registry = registry
    this.data = data
    this.#folder = folder
    this.crossdock = crossdock
    this.#options = options
  }

  static async start(options: ProxyOptions = {}): Promise<TestProxy> {
    const registry = options.registry ?? (await FakeRegistry.start())
    const folder = await mkdtemp(join(tmpdir(), 'crossdock-proxy-'))
    const data = options.data ?? join(folder, 'data')
    try {
      const crossdock = await startCrossdock(settled(options, registry, data))
      return new TestProxy(registry, data, folder, crossdock, options)
    } catch (error) {
      await rm(folder, { recursive: true, force: true })
      if (options.registry === undefined) await registry[Symbol.asyncDispose]()
      throw error
    }
  }

  /** `http://HOST:PORT/v2` */
  get base(): string {
    return `${this.crossdock.url}/v2`
  }

  /** `http://HOST:PORT/v2` of a further listener. */
  baseOf(listener: number): string {
    return `http://${this.crossdock.listenerHosts[listener]}/v2`
  }

  /** Ends the process and starts another one on the same data; `config` then counts besides what was given before. */
  async restart(
    signal: NodeJS.Signals = 'SIGTERM',
    config: Readonly<Record<string, unknown>> = {},
  ): Promise<void> {
    await this.stop(signal)
    await this.start(config)
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    const code = await this.crossdock.stop(signal)
    await this.crossdock[Symbol.asyncDispose]()
    return code
  }

  async start(config: Readonly<Record<string, unknown>> = {}, faults?: Faults): Promise<void> {
    const { faults: _, ...given } = this.#options
    const options = {
      ...given,
      config: { ...given.config, ...config },
      ...(faults && { faults }),
    }
    this.crossdock = await startCrossdock(settled(options, this.registry, this.data))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.crossdock[Symbol.asyncDispose]()
    if (this.#options.registry === undefined) await this.registry[Symbol.asyncDispose]()
    await rm(this.#folder, { recursive: true, force: true })
  }
}

function settled(options: ProxyOptions, registry: FakeRegistry, data: string): CrossdockOptions {
  const { registry: _, config, faults, ...rest } = options
  return {
    ...rest,
    ...(faults && { env: { ...rest.env, ...faultyEnvironment(faults) } }),
    data,
    upstream: registry.host,
    config: {
      convert: { defaultPlatforms: ['linux/amd64'] },
      limits: { retries: 0 },
      // Small layers have ztocs as well.
      profiles: { soci: { format: 'soci', minLayerSize: 0 } },
      ...config,
    },
  }
}

/** Makes any crossdock fail as told, served or run as a command. */
export function faultyEnvironment(faults: Faults): Readonly<Record<string, string>> {
  const preload = new URL('./faults-preload.ts', import.meta.url)
  return {
    NODE_OPTIONS: `--import=${preload.href}`,
    FAULTS: JSON.stringify({ shared: isSharedPair, ...faults }),
  }
}
