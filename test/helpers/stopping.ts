/** Servers that stand still at a named step, as by kill -STOP, until they are woken. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Failpoint, Faults } from './faults-preload.ts'
import type { Replica, Replicas } from './replicas.ts'

/** Where a process stands still; `path`: what of it, as `faults-preload.ts` and `faults-shared.ts` name it. */
export type Step = Omit<Failpoint, 'act'>

/** On a machine that has much else to do, ms. */
const REACHED_MS = 60_000

/** A server that can be stopped again and again. */
export class Stoppable implements AsyncDisposable {
  readonly replica: Replica
  readonly #folder: string
  #told = 0

  private constructor(replica: Replica, folder: string) {
    this.replica = replica
    this.#folder = folder
  }

  /** One more of these. */
  static async add(replicas: Replicas, faults: Faults = {}): Promise<Stoppable> {
    const folder = await mkdtemp(join(tmpdir(), 'crossdock-stopping-'))
    const pointsFile = join(folder, 'points')
    const replica = await replicas.add({ faults: { ...faults, shared: true, pointsFile } })
    return new Stoppable(replica, folder)
  }

  get pid(): number {
    return this.replica.proxy.crossdock.pid
  }

  /** From now on it stops at this step, once; `undefined`: at none. */
  async arm(step: Step | undefined): Promise<void> {
    const points: Failpoint[] = step === undefined ? [] : [{ ...step, act: 'stop' }]
    await writeFile(join(this.#folder, 'points'), JSON.stringify(points))
    process.kill(this.pid, 'SIGWINCH')
    this.#told += 1
    await until(async () => this.#armed() >= this.#told, 'the point was not heard of')
  }

  /** Resolves when it stands still. */
  async stopped(): Promise<void> {
    await until(() => this.isStopped(), 'it never came to that step')
  }

  async isStopped(): Promise<boolean> {
    const text = await readFile(`/proc/${this.pid}/stat`, 'utf8').catch(() => '')
    return /\) T /.test(text)
  }

  wake(): void {
    process.kill(this.pid, 'SIGCONT')
  }

  /** Wakes it, whatever it was at: a process that stands still ends by nothing but SIGKILL. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.wake()
    await rm(this.#folder, { recursive: true, force: true })
  }

  #armed(): number {
    return this.replica.proxy.crossdock.output().split('faults are armed').length - 1
  }
}

/** As `expect.poll`, for tests that run at the same time and so cannot use it. */
export async function until(isSo: () => Promise<boolean>, otherwise: string): Promise<void> {
  const end = performance.now() + REACHED_MS
  while (!(await isSo())) {
    if (performance.now() > end) throw new Error(otherwise)
    await sleep(20)
  }
}
