/** The soak: many clients and everything that goes wrong at once, for minutes; what it found and what it counted. */
import { readdir, readFile, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { FakeRegistry } from './fake-registry.ts'
import { fsck, tempFiles } from './faults-fsck.ts'
import { TestProxy } from './faults-proxy.ts'
import { pull } from './faults-puller.ts'
import { Dice } from './faults-seed.ts'
import { anyFault } from './faults-upstream.ts'
import { ROOT } from './fixtures.ts'
import { runCommand } from './fixtures-command.ts'
import { SoakAttacker } from './soak-attacker.ts'
import { SoakClient, type Surroundings } from './soak-client.ts'
import { SoakImages } from './soak-images.ts'
import { SoakLedger } from './soak-ledger.ts'

export interface SoakOptions {
  readonly seed: number
  readonly seconds: number
  readonly clients: number
  readonly say: (line: string) => void
}

export interface SoakReport {
  readonly violations: readonly string[]
  readonly counts: Readonly<Record<string, number>>
  /** Medians of the resident set of the last process, bytes, by fifths of its life. */
  readonly rss: readonly number[]
  /** Open descriptors of the last process: before any client came, and after all had left. */
  readonly descriptors: readonly [before: number, after: number]
  readonly peakRss: number
}

/** Part of the time in which processes die; the last one then lives to the end, so that its memory can be judged. */
const ROUGH_PART = 0.45
/** Breakers, pauses that upstream asked for and memories of failures end within this, ms. */
const AFTERMATH_MS = 12_000
const CALM_MS = 6_000
const EPOCH_MS = 7_000
const LEASE = '5s'
/** A fraction of what all clients want to have. */
const BUDGET_BYTES = 50_000_000
const SETTLE_MS = 30_000
/** The server's log lines that would mean an accident. */
const ACCIDENT = /unhandled|uncaught|"level":"(?:error|fatal)"|out of memory|MaxListeners/i

const METRICS = [
  ['blobs evicted', 'crossdock_evicted_blobs_total'],
  ['layers converted', 'crossdock_layers_converted_total'],
  ['bytes scrubbed', 'crossdock_scrubbed_bytes_total'],
  ['blobs folded', 'crossdock_folded_blobs_total'],
] as const

const CONFIG = {
  limits: { retries: 1, upstreamHeaders: '3s', upstreamIdle: '3s' },
  cache: {
    tagWindow: '1s',
    lease: LEASE,
    maxSize: BUDGET_BYTES,
    scrub: { interval: '20s', rate: '20MiB' },
    dedup: 'on',
  },
  log: { level: 'warn' },
}

export async function soak(options: SoakOptions): Promise<SoakReport> {
  const dice = new Dice(options.seed)
  await using origin = await FakeRegistry.start()
  const images = await SoakImages.push(origin, dice)
  await using proxy = await TestProxy.start({
    registry: origin,
    config: CONFIG,
    listeners: ['zstd'],
  })
  return await new Soak(options, dice, origin, proxy, images).run()
}

type Chore = () => Promise<void>

class Soak implements Surroundings {
  readonly images: SoakImages
  readonly ledger: SoakLedger
  isOver = false
  readonly #options: SoakOptions
  readonly #dice: Dice
  readonly #origin: FakeRegistry
  readonly #proxy: TestProxy
  /** Monotonic ms since which nothing is wrong. */
  #wellSince = 0
  /** Of the process that lives, every second. */
  #rss: number[] = []
  #peakRss = 0
  #descriptors = 0

  constructor(
    options: SoakOptions,
    dice: Dice,
    origin: FakeRegistry,
    proxy: TestProxy,
    images: SoakImages,
  ) {
    this.#options = options
    this.#dice = dice
    this.#origin = origin
    this.#proxy = proxy
    this.images = images
    this.ledger = new SoakLedger(images.images)
  }

  get url(): string {
    return this.#proxy.crossdock.url
  }

  get zstdUrl(): string {
    return `http://${this.#proxy.crossdock.listenerHosts[0]}`
  }

  get isCalm(): boolean {
    return performance.now() - this.#wellSince > AFTERMATH_MS
  }

  async run(): Promise<SoakReport> {
    const { clients, seed, seconds } = this.#options
    await this.#noteStart()
    const running = Array.from({ length: clients }, (_, i) => {
      const Client = i === 0 ? SoakAttacker : SoakClient
      return new Client(this, new Dice(seed + i + 1)).run()
    })
    const sampling = setInterval(() => void this.#sample(), 1000)
    const ends = performance.now() + seconds * 1000
    const rough = this.#chores()
    const gentle = rough.filter(([name]) => !name.startsWith('process'))
    while (performance.now() < ends) {
      const part = 1 - (ends - performance.now()) / (seconds * 1000)
      await this.#epoch(part < ROUGH_PART ? rough : gentle)
    }
    this.isOver = true
    await Promise.all(running)
    clearInterval(sampling)
    return await this.#conclude()
  }

  /** Something goes wrong or is done, then nothing for long enough that no refusal has an excuse any more. */
  async #epoch(chores: readonly (readonly [string, Chore])[]): Promise<void> {
    const [name, chore] = this.#dice.pick(chores)
    this.#options.say(`${name}; ${this.ledger.counts.get('images pulled') ?? 0} images so far`)
    this.#wellSince = Number.POSITIVE_INFINITY
    this.ledger.count(name)
    try {
      await chore()
    } catch (error) {
      this.ledger.violate(`${name}: ${error instanceof Error ? error.message : error}`)
    }
    this.#origin.clearFaults()
    this.#wellSince = performance.now()
    if (this.#dice.chance(0.5)) await sleep(AFTERMATH_MS + CALM_MS)
    // It is a log of everything that was ever asked.
    this.ledger.count('requests to upstream', this.#origin.requests.length)
    this.#origin.requests.length = 0
  }

  #chores(): readonly (readonly [string, Chore])[] {
    const both = async (one: Chore, other: Chore) => void (await Promise.all([one(), other()]))
    const breaking = () => this.#breakUpstream()
    const kill = () => this.#restart('SIGKILL')
    return [
      ['upstream faults', breaking],
      ['upstream faults, tags move', () => both(breaking, () => this.#moveTags())],
      ['upstream 429', () => this.#refuse(429)],
      ['upstream 503', () => this.#refuse(503)],
      ['tags move', () => this.#moveTags()],
      ['reload', () => this.#reload()],
      ['gc beside', () => this.#command('gc')],
      ['verify beside', () => this.#command('verify', '--all')],
      ['process killed', kill],
      ['process killed, upstream faults', () => both(breaking, kill)],
      ['process killed, tags move', () => both(() => this.#moveTags(), kill)],
      ['process ended', () => this.#restart('SIGTERM')],
    ]
  }

  async #breakUpstream(): Promise<void> {
    const ends = performance.now() + EPOCH_MS
    while (performance.now() < ends) {
      const name = this.#dice.pick(this.images.names)
      const target = this.#dice.pick([
        { name },
        { name, kind: 'blob' as const },
        { name, kind: 'manifest' as const },
      ])
      this.#origin.fault(target, { ...anyFault(this.#dice, 100_000), times: 1 + this.#dice.int(5) })
      this.ledger.count('faults of upstream')
      await sleep(this.#dice.int(400))
    }
  }

  async #refuse(status: number): Promise<void> {
    this.#origin.fault({}, { status, headers: { 'retry-after': '1' } })
    await sleep(EPOCH_MS / 2)
  }

  async #moveTags(): Promise<void> {
    for (let i = 0; i < 2; i += 1) {
      await this.images.move(this.#dice.pick(this.images.names), this.#dice.pick(this.images.tags))
      this.ledger.count('tags moved')
      await sleep(this.#dice.int(EPOCH_MS / 2))
    }
  }

  async #reload(): Promise<void> {
    process.kill(this.#proxy.crossdock.pid, 'SIGHUP')
    await sleep(1000)
  }

  /** What a person types while the server runs. */
  async #command(...args: readonly string[]): Promise<void> {
    const main = join(ROOT, 'src', 'main.ts')
    const result = await runCommand(process.execPath, [
      ...[main, ...args, '--data', this.#proxy.data],
      ...['--config', this.#proxy.crossdock.configFile],
    ])
    if (result.status !== 0) {
      const said = `${result.stdout}\n${result.stderr}`.trim().slice(-1000)
      this.ledger.violate(`${args[0]} ended with ${result.status}: ${said}`)
    }
  }

  async #restart(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    await sleep(this.#dice.int(EPOCH_MS / 2))
    const { crossdock } = this.#proxy
    await this.#noteMetrics()
    const code = await this.#proxy.stop(signal)
    if (signal === 'SIGTERM' && code !== 0) this.ledger.violate(`SIGTERM ended it with ${code}`)
    this.#look(crossdock.output())
    await this.#proxy.start()
    const left = await tempFiles(this.#proxy.data)
    if (left.length > 0) this.ledger.violate(`${left.length} temp files after a start`)
    await this.#noteStart()
  }

  #look(output: string): void {
    for (const line of output.split('\n')) {
      if (ACCIDENT.test(line)) this.ledger.violate(`the log says ${line.slice(0, 500)}`)
    }
  }

  /** What a process has done in its life. */
  async #noteMetrics(): Promise<void> {
    for (const [what, metric] of METRICS) {
      this.ledger.count(what, await this.#proxy.crossdock.metric(metric))
    }
  }

  async #noteStart(): Promise<void> {
    this.#rss = []
    this.#descriptors = await descriptorsOf(this.#proxy.crossdock.pid)
  }

  async #sample(): Promise<void> {
    const status = await readFile(`/proc/${this.#proxy.crossdock.pid}/status`, 'utf8').catch(
      () => '',
    )
    const rss = Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1024
    if (rss === 0) return
    this.#rss.push(rss)
    this.#peakRss = Math.max(this.#peakRss, rss)
  }

  /** Everything is quiet and well: nothing is left over, and everything that anybody ever had is still to be had. */
  async #conclude(): Promise<SoakReport> {
    const { pid, output } = this.#proxy.crossdock
    const rss = fifthsOf(this.#rss)
    const before = this.#descriptors
    const settled = performance.now() + SETTLE_MS
    const after = () => descriptorsOf(pid)
    while (performance.now() < settled && (await after()) > before + 5) await sleep(250)
    const descriptors = [before, await after()] as const
    if (descriptors[1] > before + 5) {
      this.ledger.violate(`descriptors are left: ${await targetsOf(pid)}`)
    }
    while (performance.now() < settled && (await tempFiles(this.#proxy.data)).length > 0) {
      await sleep(250)
    }
    const temp = await tempFiles(this.#proxy.data)
    if (temp.length > 0) this.ledger.violate(`${temp.length} temp files are left`)
    this.#look(output())
    await this.#noteMetrics()
    await this.#findAll()
    return {
      violations: this.ledger.violations,
      counts: Object.fromEntries([...this.ledger.counts].toSorted()),
      ...{ rss, descriptors, peakRss: this.#peakRss },
    }
  }

  /** Once more all that was acknowledged, by digest; then after kill -9 without any upstream. */
  async #findAll(): Promise<void> {
    const roomy = { cache: { ...CONFIG.cache, maxSize: '50GiB' } }
    await this.#proxy.restart('SIGTERM', roomy)
    await this.#pullAll('lost')
    await this.#proxy.restart('SIGKILL', { cache: { ...roomy.cache, offline: true } })
    const asked = this.#origin.requests.length
    await this.#pullAll('lost offline')
    if (this.#origin.requests.length > asked) this.ledger.violate('offline it asked upstream')
    this.#look(this.#proxy.crossdock.output())
    const code = await this.#proxy.stop()
    if (code !== 0) this.ledger.violate(`the last SIGTERM ended it with ${code}`)
    const found = await fsck(this.#proxy.data, { evicted: true })
    for (const problem of found.problems) this.ledger.violate(`fsck: ${problem}`)
    this.ledger.count('blobs hashed at the end', found.blobs)
  }

  async #pullAll(what: string): Promise<void> {
    const all = this.ledger.acknowledged.values()
    const puller = async () => {
      for (const { name, digest, layers } of all) {
        try {
          const image = await pull(this.#proxy.base, name, digest)
          const same = String(image.layers.map((layer) => layer.digest)) === String(layers)
          if (!same) this.ledger.violate(`${name}@${digest} has other layers than before`)
        } catch (error) {
          this.ledger.violate(`${what}: ${name}@${digest}: ${error}`)
        }
      }
    }
    await Promise.all(Array.from({ length: 8 }, puller))
    this.ledger.counts.set('images acknowledged', this.ledger.acknowledged.size)
  }
}

async function descriptorsOf(pid: number): Promise<number> {
  return (await readdir(`/proc/${pid}/fd`)).length
}

/** What they are open on, and how many of each. */
async function targetsOf(pid: number): Promise<string> {
  const folder = `/proc/${pid}/fd`
  const counts = new Map<string, number>()
  for (const fd of await readdir(folder)) {
    const target = await readlink(join(folder, fd)).catch(() => 'gone')
    const kind = target.replace(/:\[\d+\]/, '')
    counts.set(kind, (counts.get(kind) ?? 0) + 1)
  }
  return JSON.stringify(Object.fromEntries(counts))
}

/** The median of each fifth. */
function fifthsOf(samples: readonly number[]): readonly number[] {
  const length = Math.ceil(samples.length / 5)
  return Array.from({ length: 5 }, (_, i) => {
    const part = samples.slice(i * length, (i + 1) * length).toSorted((a, b) => a - b)
    return part[Math.floor(part.length / 2)] ?? 0
  })
}
