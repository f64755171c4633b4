/** The first of two servers of a new store stands still at each step of making the catalog and taking the store; the other one starts all the same. */
import { readdir, readFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import type { Failpoint } from '../helpers/faults-preload.ts'
import { pull } from '../helpers/faults-puller.ts'
import { Dice, roundsOf, seedOf } from '../helpers/faults-seed.ts'
import { bytesOf } from '../helpers/pulling-crowd.ts'
import { hasSharedPair, Replicas } from '../helpers/replicas.ts'
import { until } from '../helpers/stopping.ts'

const ROW_MS = 240_000
const EVERY_STEP = Boolean(process.env.FAULTS_EVERY_STEP)
const SAMPLE = 2

type Row = readonly [title: string, point: Failpoint]
const row = (
  title: string,
  op: Failpoint['op'],
  when: Failpoint['when'],
  path: string,
  nth = 1,
): Row => [title, { op, when, path, nth, act: 'stop' }]

const ROWS: readonly Row[] = [
  row('before the first tables are written down', 'commit', 'before', 'crossdock.versions'),
  row('after the last tables were made', 'commit', 'after', 'crossdock.versions', 3),
  row('before the tables are committed', 'commit', 'before', '^COMMIT'),
  row('after the tables were committed', 'commit', 'after', '^COMMIT'),
  row('after the catalog has a name', 'commit', 'after', 'INSERT INTO crossdock.identity'),
  row('before the store is marked', 'rename', 'before', '/server.json$'),
  row('after the store was marked', 'rename', 'after', '/server.json$'),
  row('before the catalog is bound to the store', 'commit', 'before', 'UPDATE crossdock.identity'),
  row('after the catalog was bound to the store', 'commit', 'after', 'UPDATE crossdock.identity'),
  row('before S3 is tried', 'rename', 'before', '/probes/'),
  row('before the filling is written down', 'commit', 'before', 'INSERT INTO crossdock.chores'),
  row('after the filling was written down', 'commit', 'after', 'INSERT INTO crossdock.chores'),
]

describe.skipIf(!hasSharedPair)('a server that starts and stands still', () => {
  const dice = new Dice(seedOf('starts that stand still'))
  const rows = EVERY_STEP ? ROWS : dice.shuffled(ROWS).slice(0, roundsOf(SAMPLE))
  test.each(rows)(
    '%s keeps no other one from serving, and serves itself in the end',
    async (_, point) => {
      await using replicas = await Replicas.start({ count: 0 })
      await replicas.registry.pushImage('start/app', '1', { layers: [{ size: 100_000 }] })
      const first = replicas.add({ faults: { shared: true, points: [point] } }).then(
        () => 'serves',
        (error: Error) => error.message,
      )
      let stopped: readonly number[] = []
      try {
        await until(async () => {
          stopped = await stoppedChildren()
          return stopped.length > 0
        }, 'it never came to that step')

        const other = await replicas.add()
        const image = bytesOf(await pull(other.proxy.base, 'start/app', '1-zstd'))
        wake(stopped)

        const outcome = await first
        console.info(`${point.when} ${point.op} ${point.path}: ${outcome.slice(-500)}`)
        expect(outcome).toBe('serves')
        for (const { proxy } of replicas.all) {
          expect(bytesOf(await pull(proxy.base, 'start/app', '1-zstd'))).toEqual(image)
        }
      } finally {
        wake(stopped)
        await first
      }
    },
    ROW_MS,
  )
})

function wake(pids: readonly number[]): void {
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGCONT')
    } catch {
      // It has ended since.
    }
  }
}

/** Of this process. */
async function stoppedChildren(): Promise<readonly number[]> {
  const found: number[] = []
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
    const [, state, parent] = /\) (\S) (\d+) /.exec(text) ?? []
    if (state === 'T' && Number(parent) === process.pid) found.push(Number(pid))
  }
  return found
}
