/** How much the log says of clients that speak otherwise than a listener does. */
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { strayLog } from '../../../src/lib/stray-log.ts'

const MINUTE_MS = 60_000
const LISTENER = 'https://127.0.0.1:5000'

function openLog() {
  const lines: Readonly<Record<string, unknown>>[] = []
  const counts: Record<string, number> = {}
  const log = pino({ level: 'info' }, { write: (line) => lines.push(JSON.parse(line)) })
  const clock = { now: 0 }
  const count = (reason: string) => {
    counts[reason] = (counts[reason] ?? 0) + 1
  }
  const strayed = strayLog({ log, count, now: () => clock.now })
  return { lines, counts, clock, strayed }
}

const noCertificate = (network: string, listener = LISTENER) =>
  ({ kind: 'noCertificate', client: '2001:db8::1', network, listener }) as const

test('however many networks a client has, a listener says 20 lines of them in a minute, and counts all', () => {
  const { lines, counts, clock, strayed } = openLog()
  for (let i = 0; i < 3000; i += 1) strayed(noCertificate(`2001:db8:${i}::/64`))
  expect(lines).toHaveLength(20)
  expect(counts).toEqual({ 'no-certificate': 3000 })

  strayed(noCertificate('10.0.0.1', 'https://127.0.0.1:5001'))
  expect(lines).toHaveLength(21)

  clock.now += MINUTE_MS
  strayed(noCertificate('2001:db8:ffff::/64'))
  strayed(noCertificate('2001:db8:fffe::/64'))
  expect(lines.slice(21)).toMatchObject([{ times: 1, unsaid: 2980 }, { times: 1 }])
  expect(lines[22]).not.toHaveProperty('unsaid')
})

test('what is said once an hour of a listener is not said more often for the clients of others', () => {
  const { lines, strayed } = openLog()
  const plain = { client: '10.0.0.1', network: '10.0.0.1', listener: 'http://127.0.0.1:5002' }
  strayed({ kind: 'tlsToPlain', ...plain })
  for (let i = 0; i < 3000; i += 1) strayed(noCertificate(`2001:db8:${i}::/64`))
  strayed({ kind: 'tlsToPlain', ...plain })
  expect(lines.filter(({ reason }) => reason === 'tls-to-plain')).toHaveLength(1)
})
