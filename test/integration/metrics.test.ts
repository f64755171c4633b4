/** Metrics against what is written of them: the board, the alerts and the page that explains them. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { MergedMetrics } from '../../src/lib/merged-metrics.ts'
import { type RunningCommand, Workplace } from '../helpers/command.ts'
import { alertQueries, boardQueries } from '../helpers/prometheus.ts'

let place: Workplace
let server: RunningCommand
let types: ReadonlyMap<string, string>

beforeAll(async () => {
  place = await Workplace.create()
  await place.write('crossdock.yaml', 'listen: [{ address: 127.0.0.1:0 }]\nadmin: 127.0.0.1:0\n')
  server = place.start()
  const admin = await server.said(/(http:\S+)\/metrics/)
  const alone = await (await fetch(`${admin}/metrics`)).text()
  // With workers there are some more.
  const text = alone + (await new MergedMetrics(() => 2).text())
  const found = text.matchAll(/^# TYPE (\S+) (\S+)$/gm)
  types = new Map([...found].map(([, name = '', type = '']) => [name, type]))
})
afterAll(async () => {
  server.signal()
  await server.done
  await place[Symbol.asyncDispose]()
})

test('each metric that the board and the alerts name exists', async () => {
  const queries = [...(await boardQueries()), ...(await alertQueries())]
  const named = queries.flatMap(
    ({ expr }) => expr.match(/\b(?:crossdock|process|nodejs)_\w+/g) ?? [],
  )
  const exists = (name: string) =>
    types.has(name) || types.get(name.replace(/_(?:bucket|sum|count)$/, '')) === 'histogram'

  expect(named.length).toBeGreaterThan(40)
  expect([...new Set(named)].filter((name) => !exists(name))).toEqual([])
})

test('each metric of ours is explained in docs/operations.md', async () => {
  const page = await readFile(join(import.meta.dirname, '../../docs/operations.md'), 'utf8')
  const ours = [...types.keys()].filter((name) => name.startsWith('crossdock_'))

  expect(ours.filter((name) => !page.includes(`\`${name}\``))).toEqual([])
})
