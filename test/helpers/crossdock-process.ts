/** crossdock as a process of its own: random ports, a data folder that goes away, its log and metrics to look at. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { REGISTRY, ROOT } from './fixtures.ts'
import { isSharedPair, storeSectionOf } from './pair.ts'
import { S3_CREDENTIALS } from './s3-server.ts'

export interface CrossdockOptions {
  /** The configuration file's content; `upstreams` and `defaultUpstream` default to the fixture registry. */
  readonly config?: Readonly<Record<string, unknown>>
  /** `HOST:PORT` of the default upstream, in place of the fixture registry. */
  readonly upstream?: string
  /** Profiles of further listeners. */
  readonly listeners?: readonly string[]
  /** A data folder that stays. */
  readonly data?: string
  /** The Node.js to run it with. */
  readonly node?: string
  /** A program that runs it, e.g. `taskset`, with its arguments. */
  readonly command?: readonly string[]
  /** What is run in place of this clone's main file: an installed crossdock. */
  readonly installed?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

/** One line of the access log. */
export interface RequestLine {
  readonly event: 'request'
  readonly method: string
  readonly path: string
  readonly status: number
  readonly bytes: number
  readonly route: string
  readonly userAgent?: string
  readonly principal?: string
  readonly conversion?: string
  readonly image?: string
  readonly refusal?: string
  readonly cut?: string
}

interface StartLine {
  readonly event: 'started'
  readonly addresses: readonly string[]
  readonly admin: string
}

type LogLine = RequestLine | StartLine

export interface Crossdock extends AsyncDisposable {
  /** `127.0.0.1:PORT` */
  readonly host: string
  readonly url: string
  /** Of the further listeners, in order. */
  readonly listenerHosts: readonly string[]
  readonly adminUrl: string
  readonly data: string
  readonly pid: number
  /** The file that it was started with. */
  readonly configFile: string
  /** Requests that have ended, oldest first. */
  requests(): readonly RequestLine[]
  /** Everything that it wrote. */
  output(): string
  /** The sum of a metric over all series that carry these labels. */
  metric(name: string, labels?: Readonly<Record<string, string>>): Promise<number>
  /** Highest resident set so far, bytes. */
  peakRss(): Promise<number>
  /** Ends it and resolves with its exit code; the data folder stays until disposal. */
  stop(signal?: NodeJS.Signals): Promise<number | null>
}

/** How many processes serve where a test does not say it. */
const WORKERS = Number(process.env.CROSSDOCK_TEST_WORKERS ?? 1)

/** On a machine that has much else to do; most take half a second. */
const START_MS = 120_000
const STOP_MS = 20_000

export async function startCrossdock(options: CrossdockOptions = {}): Promise<Crossdock> {
  const folder = await mkdtemp(join(tmpdir(), 'crossdock-test-'))
  const data = options.data ?? join(folder, 'data')
  const file = join(folder, 'crossdock.yaml')
  const store = options.config?.store === undefined ? await storeSectionOf(data) : undefined
  const config = { ...configOf(options), ...(store && { store }) }
  // JSON is YAML.
  await writeFile(file, JSON.stringify(config, null, 2))
  const args = ['serve', '--config', file, '--data', data, '--admin', '127.0.0.1:0']
  const ours = [options.node ?? process.execPath, join(ROOT, 'src', 'main.ts')]
  const [program = '', ...words] = [...(options.command ?? []), ...(options.installed ?? ours)]
  const child = spawn(program, [...words, ...args], {
    cwd: folder,
    env: {
      ...cleanEnvironment(),
      ...(store && S3_CREDENTIALS),
      ...{ DOCKER_CONFIG: folder, HOME: folder },
      ...options.env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const output = new Output(child)
  const stop = (signal: NodeJS.Signals = 'SIGTERM') => stopChild(child, signal)
  const remove = () => rm(folder, { recursive: true, force: true })
  try {
    const [listeners, adminUrl] = await output.greeting()
    const [url = '', ...others] = listeners
    return {
      url,
      host: hostOf(url),
      listenerHosts: others.map(hostOf),
      adminUrl,
      data,
      pid: child.pid ?? 0,
      configFile: file,
      requests: () => output.requests(),
      output: () => output.text,
      metric: (name, labels = {}) => readMetric(adminUrl, name, labels),
      peakRss: () => readPeakRss(child.pid ?? 0),
      stop,
      async [Symbol.asyncDispose]() {
        await stop()
        await remove()
      },
    }
  } catch (error) {
    await stop('SIGKILL')
    await remove()
    throw error
  }
}

function configOf(options: CrossdockOptions) {
  return {
    listen: ['', ...(options.listeners ?? [])].map((profile) => ({
      address: '127.0.0.1:0',
      ...(profile !== '' && { profile }),
    })),
    defaultUpstream: 'origin',
    upstreams: { origin: { url: `http://${options.upstream ?? REGISTRY}` } },
    log: { format: 'json', level: 'info' },
    // Of the embedded pair alone.
    ...(!isSharedPair && { workers: WORKERS }),
    ...options.config,
  }
}

function cleanEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) => !/^(?:CROSSDOCK_|VITEST|NODE_OPTIONS$|(?:https?|no|all)_proxy$)/i.test(name),
    ),
  )
}

class Output {
  text = ''
  readonly #child: ChildProcess

  constructor(child: ChildProcess) {
    this.#child = child
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8')
      stream?.on('data', (chunk: string) => {
        this.text += chunk
      })
    }
  }

  /** Where it listens, from the event of its start or, where its configuration shows none, from its greeting. */
  async greeting(): Promise<[listeners: readonly string[], admin: string]> {
    const ended = new AbortController()
    const timer = AbortSignal.timeout(START_MS)
    const signal = AbortSignal.any([ended.signal, timer])
    this.#child.once('exit', () => ended.abort())
    this.#child.once('error', () => ended.abort())
    while (!signal.aborted) {
      const [started] = this.#events('started')
      if (started !== undefined) return [started.addresses, started.admin]
      const admin = /http:\/\/127\.0\.0\.1:\d+(?=\/metrics)/.exec(this.text)?.[0]
      const urls = this.text.match(/https?:\/\/[\d.]+:\d+/g) ?? []
      if (admin !== undefined) return [[...new Set(urls)].filter((one) => one !== admin), admin]
      await Promise.race([
        ...[this.#child.stdout, this.#child.stderr].map((stream) =>
          once(stream as NodeJS.ReadableStream & NodeJS.EventEmitter, 'data', { signal }),
        ),
        once(this.#child, 'exit', { signal }),
      ]).catch(() => undefined)
    }
    throw new Error(`crossdock did not start: ${this.text}`)
  }

  requests(): readonly RequestLine[] {
    return this.#events('request')
  }

  #events<E extends LogLine['event']>(event: E): readonly Extract<LogLine, { event: E }>[] {
    return this.text
      .split('\n')
      .filter((line) => line.startsWith('{') && line.endsWith('}'))
      .map((line) => JSON.parse(line) as LogLine)
      .filter((line): line is Extract<LogLine, { event: E }> => line.event === event)
  }
}

async function stopChild(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null && child.pid !== undefined) {
    const ended = once(child, 'exit')
    child.kill(signal)
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
    await ended
    clearTimeout(timer)
  }
  return child.exitCode
}

async function readMetric(
  admin: string,
  name: string,
  labels: Readonly<Record<string, string>>,
): Promise<number> {
  const text = await (await fetch(`${admin}/metrics`)).text()
  const wanted = Object.entries(labels).map(([key, value]) => `${key}="${value}"`)
  return text
    .split('\n')
    .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
    .filter((line) => wanted.every((label) => line.includes(label)))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)
}

async function readPeakRss(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) * 1024
}

function hostOf(url: string): string {
  return new URL(url).host
}
