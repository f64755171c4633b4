/** Starts the workers of one server, replaces who dies, carries what they ask each other, and ends them. */
import { randomUUID } from 'node:crypto'
import { availableParallelism } from 'node:os'
import type { Reloaded } from '../admin/whole.ts'
import { conversionJobs } from '../config/conversion-jobs.ts'
import type { Config } from '../config/schema.ts'
import { CrossdockError } from '../errors.ts'
import { AllMetrics } from './all-metrics.ts'
import { answerOf } from './answers.ts'
import type { Child, Ending } from './child.ts'
import { Inquiries } from './inquiries.ts'
import { LentSlots } from './lent-slots.ts'
import { Reloads } from './reloads.ts'
import type { Seat } from './seat.ts'
import { StartFailed, type Worker } from './worker.ts'
import type { SupervisorDeps } from './supervisor-deps.ts'
import { Tallies } from './tallies.ts'
import { Watch } from './watch.ts'
import type { FromWorker, Start } from './words.ts'

/** Whoever has served for so long has not died of its start, ms. */
const SOUND_MS = 60_000
/** Between the second death in a row and the third start; twice as long each time, ms. */
const AGAIN_MS = 500
const MOST_AGAIN_MS = 30_000
/** Deaths in a row in one place, while no other one serves: what is wrong is not the worker's. */
const HOPELESS = 5
/** So many of those that have ended are told to who begins: what they held has long ended by itself for the others. */
const GONE = 100

/** Of the grace: by then everybody should have ended by themselves; the supervisor has the rest to give the store back. */
const KILL_SHARE = 0.93

export class Supervisor {
  readonly #deps: SupervisorDeps
  /** By number. */
  readonly #workers = new Map<number, Worker>()
  readonly #inquiries = new Inquiries()
  readonly #metrics = new AllMetrics(this.#inquiries, () => this.#ready())
  readonly #tallies = new Tallies()
  readonly #reloads = new Reloads({
    inquiries: this.#inquiries,
    ready: () => this.#ready(),
    isQuiet: (number) => this.#watch.isQuiet(number),
  })
  readonly #slots: LentSlots
  readonly #watch: Watch
  readonly #ending = new AbortController()
  /** Aborted when what still runs has its grace alone. */
  readonly #watching = new AbortController()
  readonly #given = Promise.withResolvers<Ending>()
  readonly #run: Required<Pick<Seat, 'server' | 'startedAt'>>
  readonly #gone: number[] = []
  /** In force: what a worker begins with. */
  #config: Config
  #lastNumber = 0
  #agreement = 1
  /** Until those that went by the last file have ended. */
  #clearing: Promise<void> = Promise.resolve()
  #hasStarted = false

  constructor(deps: SupervisorDeps) {
    this.#deps = deps
    this.#config = deps.config
    this.#slots = new LentSlots({
      workers: deps.count,
      total: () => conversionJobs(this.#config, availableParallelism()),
      tell: (number, slots) => this.#workers.get(number)?.child.send({ kind: 'lent', slots }),
    })
    this.#run = { server: randomUUID(), startedAt: deps.clock.now() }
    this.#watch = new Watch({
      clock: deps.clock,
      workers: () =>
        [...this.#workers.values()].map((one) => ({ ...one, isServing: one.state === 'ready' })),
      standsStill: (number, ms) => this.#giveUp(number, ms),
      quiet: (number, isQuiet) => this.#leaveOut(number, isQuiet),
    })
  }

  get config(): Config {
    return this.#config
  }

  /** Resolves when all of them serve, with what the first one says. Throws StartFailed, and leaves none behind then. */
  async start(): Promise<Start> {
    void this.#watch.run(this.#watching.signal)
    try {
      // What only one can do, such as making a catalog, is done, and what is wrong is said once.
      const start = await this.#fork().ready.promise
      if (this.#ending.signal.aborted) return start
      const others = Array.from({ length: this.#deps.count - 1 }, () => this.#fork())
      await Promise.all(others.map(({ ready }) => ready.promise))
      this.#hasStarted = true
      return start
    } catch (error) {
      // Those that are to end anyway do so in order.
      if (!this.#ending.signal.aborted) {
        this.#ending.abort()
        this.#watching.abort()
        for (const { child } of this.#workers.values()) child.kill()
      }
      throw error
    }
  }

  /** Resolves when none of them stays alive, with how the last one has ended. */
  get hopeless(): Promise<Ending> {
    return this.#given.promise
  }

  /** All read their configuration again; events tell what comes of it, which comes out as well. */
  async reload(): Promise<Reloaded> {
    const { events } = this.#deps
    try {
      const { reloaded, missed } = await this.#reloads.run()
      if (reloaded !== undefined) events.reloaded(reloaded, this.#config)
      if (!this.#ending.signal.aborted && (reloaded === undefined || missed.length > 0)) {
        events.reloadMissed(missed)
      }
      if (reloaded !== undefined) return reloaded
    } catch (error) {
      this.#refused(error)
      throw error
    }
    const text = 'no worker answers now; what there is goes on with what it has, so try again'
    throw new CrossdockError('overloaded', text, { reason: 'workers', retryAfter: 5 })
  }

  /** Who is to end needs no configuration any more. */
  #refused(error: unknown): void {
    if (!this.#ending.signal.aborted) this.#deps.events.reloadRefused(error)
  }

  /**
   * Lets all finish what they do within `graceMs`, which begins after `delayMs`; until then they serve, and whoever stands still is given
   * up. Resolves with true when each has ended in order.
   */
  async end(hurry: Promise<void>, graceMs: number, delayMs = 0): Promise<boolean> {
    this.#ending.abort()
    const all = [...this.#workers.values()]
    for (const { state, child } of all) {
      if (state === 'starting') child.kill()
      else child.send({ kind: 'drain' })
    }
    void hurry.then(() => {
      for (const { child } of all) child.send({ kind: 'hurry' })
    })
    const { signal } = this.#watching
    const delay = delayMs === 0 ? Promise.resolve() : this.#deps.clock.sleep(delayMs, signal)
    void delay.catch(() => undefined).then(() => this.#watching.abort())
    const late = setTimeout(
      () => {
        for (const { child } of all) child.kill()
      },
      delayMs + graceMs * KILL_SHARE,
    )
    const endings = await Promise.all(all.map(({ child }) => child.ended))
    clearTimeout(late)
    this.#watching.abort()
    return endings.every(({ code, signal: by }) => code === 0 || by === 'SIGKILL')
  }

  #fork(deaths = 0): Worker {
    this.#lastNumber += 1
    const worker: Worker = {
      number: this.#lastNumber,
      child: this.#deps.fork(),
      since: this.#deps.clock.monotonic(),
      deaths,
      ready: Promise.withResolvers(),
      state: 'starting',
      config: this.#config,
      agreement: this.#agreement,
    }
    worker.ready.promise.catch(() => undefined)
    this.#workers.set(worker.number, worker)
    worker.child.onMessage((message) => this.#hear(worker, message))
    void worker.child.ended.then((ending) => this.#ended(worker, ending))
    return worker
  }

  #ended(worker: Worker, ending: Ending): void {
    const { number, child, ready, since, deaths, state, silentMs } = worker
    this.#workers.delete(number)
    this.#inquiries.gone(number)
    this.#metrics.gone(number, silentMs !== undefined)
    this.#slots.gone(number)
    this.#tallies.gone(number)
    this.#reloads.gone(number)
    this.#tellOfEnd(number)
    ready.reject(new StartFailed(ending))
    const isStartsFailure = !this.#hasStarted && state !== 'ready' && deaths === 0
    const dead = { number, pid: child.pid, ...ending, ...(silentMs && { silentMs }) }
    if (this.#ending.signal.aborted && silentMs !== undefined) this.#deps.events.died(dead)
    if (this.#ending.signal.aborted || isStartsFailure) return
    const wasSound = this.#deps.clock.monotonic() - since > SOUND_MS
    const next = wasSound ? 1 : deaths + 1
    const delayMs = next === 1 ? 0 : Math.min(MOST_AGAIN_MS, AGAIN_MS * 2 ** (next - 2))
    this.#deps.events.died(dead, delayMs)
    if (next >= HOPELESS && this.#ready().size === 0) {
      this.#given.resolve(ending)
      return
    }
    void this.#replace(next, delayMs)
  }

  /** Its pullers would wait for ever; those whom it has not taken yet end with it, too. */
  #giveUp(number: number, silentMs: number): void {
    const worker = this.#workers.get(number)
    if (worker === undefined) return
    worker.silentMs = silentMs
    worker.child.kill()
  }

  /** Nobody new waits for it, until it speaks again. */
  #leaveOut(number: number, isQuiet: boolean): void {
    this.#workers.get(number)?.child.deal(!isQuiet)
    if (isQuiet) this.#reloads.quiet(number)
  }

  /** What it held is free, and its siblings know best what that was. */
  #tellOfEnd(number: number): void {
    this.#gone.push(number)
    if (this.#gone.length > GONE) this.#gone.shift()
    for (const { child, state } of this.#workers.values()) {
      // Who is not that far hears it when it begins.
      if (state !== 'starting') child.send({ kind: 'ended', numbers: [number] })
    }
  }

  async #replace(deaths: number, delayMs: number): Promise<void> {
    const { clock, events } = this.#deps
    const { signal } = this.#ending
    try {
      await clock.sleep(delayMs, signal)
      await this.#clearing
      signal.throwIfAborted()
    } catch {
      return
    }
    const { number, child, ready } = this.#fork(deaths)
    const isReady = await ready.promise.then(
      () => true,
      () => false,
    )
    if (isReady) events.replaced({ number, pid: child.pid })
  }

  /**
   * Who goes on by a file of its own, or believes in a lease that nobody can read any more, does what another one does as well. So none
   * begins before all have ended; each is replaced as if it had died.
   */
  #beginAnew(): void {
    const { events, makeAnew } = this.#deps
    this.#agreement += 1
    events.damaged()
    const children = [...this.#workers.values()].map(({ child }) => child)
    for (const child of children) child.kill()
    // What cannot be made here cannot be opened by those that begin, who say why.
    this.#clearing = Promise.all(children.map(({ ended }) => ended))
      .then(makeAnew)
      .catch(() => undefined)
  }

  #hear(worker: Worker, message: FromWorker): void {
    const { number, child } = worker
    this.#watch.heard(number)
    if (this.#reloads.isBehind(number)) void this.#catchUp(worker)
    switch (message.kind) {
      case 'alive':
        break
      case 'tally':
        this.#tallies.told(number, message.tally)
        break
      case 'hello': {
        worker.state = 'begun'
        worker.config = this.#config
        const { count: of, file } = this.#deps
        const seat = { number, of, ...this.#run, gone: this.#gone }
        child.send({ kind: 'begin', beginning: { seat, config: this.#config, file } })
        break
      }
      case 'ready':
        worker.state = 'ready'
        worker.ready.resolve(message.start)
        if (worker.config !== this.#config) void this.#catchUp(worker)
        break
      case 'configured':
        this.#config = message.config
        this.#slots.share()
        break
      case 'wants':
        // Some is heard of those that have ended, and would be kept for them.
        if (this.#workers.has(number)) this.#slots.wants(number, message.slots)
        break
      case 'damaged':
        // All of them notice, and some say so when they have ended.
        if (worker.agreement === this.#agreement && !this.#ending.signal.aborted) this.#beginAnew()
        break
      case 'answer':
        this.#inquiries.answered(number, message.id, message.answer)
        break
      case 'ask':
        void this.#ask(worker, message)
        break
      case 'ask-metrics':
        void this.#metrics
          .text()
          .then((text) => child.send({ kind: 'metrics', id: message.id, text }))
        break
      case 'ask-reload':
        void answerOf(() => this.reload()).then((answer) =>
          child.send({ kind: 'reloaded', id: message.id, answer }),
        )
        break
    }
  }

  /** The configuration was read again while it came up, or stood still. */
  async #catchUp({ number, child }: Worker): Promise<void> {
    await this.#reloads.again(number, child).catch((error) => this.#refused(error))
  }

  /** One of the others, or all of them. */
  async #ask(
    by: Worker,
    { id, to, question, limitMs }: Extract<FromWorker, { kind: 'ask' }>,
  ): Promise<void> {
    const asked = [...this.#ready()].filter(
      ([number]) => number !== by.number && (to === undefined || to === number),
    )
    const answers = await this.#inquiries.ask(new Map(asked), question, limitMs)
    const absent = this.#tallies.except([by.number, ...answers.keys()])
    by.child.send({ kind: 'answers', id, answers: [...answers.values()], absent })
  }

  #ready(): ReadonlyMap<number, Child> {
    const ready = [...this.#workers.values()].filter(({ state }) => state === 'ready')
    return new Map(ready.map(({ number, child }) => [number, child]))
  }
}
