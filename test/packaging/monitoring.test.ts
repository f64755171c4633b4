/** The board and the alerts: their own programs take them, and a real Prometheus answers what they ask. */
import { dirname } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Crossdock, startCrossdock } from '../helpers/crossdock-process.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { pull } from '../helpers/faults-puller.ts'
import { runCommand } from '../helpers/fixtures-command.ts'
import { describeWithPrograms, findJudge } from '../helpers/packaging.ts'
import {
  ALERTS,
  alertQueries,
  BOARD,
  boardQueries,
  Prometheus,
  type Query,
} from '../helpers/prometheus.ts'

/** Panels that show nothing while all is well, or that this server has no cause for. */
const MAY_BE_EMPTY = new Set([
  'Wishes not fulfilled',
  'Errors',
  'Pulls that are left',
  'Evicted',
  'Verified, healed, failed',
  'PostgreSQL and S3 answer',
  'Questions to PostgreSQL and S3 that failed',
])

let registry: FakeRegistry
let crossdock: Crossdock

beforeAll(async () => {
  registry = await FakeRegistry.start()
  await registry.pushImage('team/app', '1', { layers: [{ size: 100_000 }] })
  crossdock = await startCrossdock({ upstream: new URL(registry.url).host })
})
afterAll(async () => {
  await crossdock?.[Symbol.asyncDispose]()
  await registry?.[Symbol.asyncDispose]()
})

/** Pulls, and a refusal. */
async function work(): Promise<void> {
  await pull(`${crossdock.url}/v2`, 'team/app', '1-zstd')
  await (await fetch(`${crossdock.url}/v2/team/app/manifests/none`)).arrayBuffer()
}

/** As Grafana fills them in. */
function filledIn({ expr }: Query): string {
  return expr.replaceAll('$__rate_interval', '1m').replaceAll(/\$(?:job|instance)/g, '.*')
}

describeWithPrograms(['dash', 'promtool'], 'the files', () => {
  test('are a board that Grafana takes, and rules that do what they are for', async () => {
    const board = await runCommand(findJudge('dash'), [BOARD])
    expect([board.stdout.trim().split('\n').at(-1), board.status]).toEqual([
      expect.stringMatching(/^ok \d+ panels$/),
      0,
    ])
    const checked = await runCommand(findJudge('promtool'), ['check', 'rules', ALERTS])
    expect([checked.stderr, checked.status]).toEqual(['', 0])
    const tried = await runCommand(findJudge('promtool'), [
      ...['test', 'rules', `${dirname(ALERTS)}/alerts_test.yaml`],
    ])
    expect([tried.stderr, tried.status]).toEqual(['', 0])
  })
})

describeWithPrograms(['prometheus'], 'a real Prometheus', () => {
  test('scrapes it, fills the panels, computes the alerts, and misses it when it is down', async () => {
    await work()
    await using prometheus = await Prometheus.start(new URL(crossdock.adminUrl).host)
    // Rates want two scrapes with something in between.
    const isSeen = async () => (await prometheus.query('crossdock_requests_total')).length > 0
    await expect.poll(isSeen, { timeout: 20_000, interval: 200 }).toBe(true)
    await work()
    const rate = 'rate(crossdock_conversions_total[1m])'
    await expect
      .poll(async () => (await prometheus.query(rate)).length > 0, {
        timeout: 20_000,
        interval: 200,
      })
      .toBe(true)

    const empty = new Set<string>()
    for (const query of await boardQueries()) {
      if ((await prometheus.query(filledIn(query))).length === 0) empty.add(query.title)
    }
    expect([...empty].filter((title) => !MAY_BE_EMPTY.has(title))).toEqual([])

    const [info] = await prometheus.query('crossdock_build_info')
    expect(info?.metric).toMatchObject({ job: 'crossdock', node: process.version })
    const states = await prometheus.alerts()
    expect(Object.keys(states).sort()).toEqual(
      (await alertQueries()).map(({ title }) => title).sort(),
    )
    expect(new Set(Object.values(states))).toEqual(new Set(['inactive']))

    expect(await crossdock.stop()).toBe(0)
    const down = async () => (await prometheus.alerts()).CrossdockDown
    await expect.poll(down, { timeout: 20_000, interval: 200 }).toBe('pending')
  })
})
