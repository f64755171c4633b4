/** A supervisor with workers that are no processes, and a clock of the test's own. */
import { vi } from 'vitest'
import { Supervisor } from '../../src/workers/supervisor.ts'
import { configWith, FakeWorkers, fakeEvents } from './fake-workers.ts'
import { ManualClock } from './manual-clock.ts'
import { settled } from './tap-upstream.ts'

/** A supervisor whose workers are no processes. */
export function supervised(count = 2) {
  const workers = new FakeWorkers()
  const clock = new ManualClock()
  const config = configWith()
  const events = fakeEvents()
  const { fork } = workers
  const makeAnew = vi.fn()
  const deps = { fork, count, config, file: '/f.yaml', clock, makeAnew, events }
  return { workers, clock, config, events, makeAnew, supervisor: new Supervisor(deps) }
}

/** All of its workers serve. */
export async function running() {
  const all = supervised()
  const { workers, supervisor } = all
  const started = supervisor.start()
  workers.at(0).serve()
  await settled()
  workers.at(1).serve()
  await started
  return all
}
