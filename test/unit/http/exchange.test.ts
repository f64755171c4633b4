import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import fc from 'fast-check'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { CrossdockError } from '../../../src/errors.ts'
import { Exchange } from '../../../src/http/exchange.ts'
import { HeldBodies } from '../../../src/http/held-bodies.ts'
import { hostileText, OBEYED } from '../../helpers/hostile-texts.ts'

/** What an exchange puts on the wire. */
function answered(
  act: (exchange: Exchange) => void,
  isForOperators = false,
): { head: string; body: string } {
  const sent: Buffer[] = []
  const socket = new Socket()
  socket.write = (chunk: string | Uint8Array, encoding?: unknown) => {
    const coding = typeof encoding === 'string' ? (encoding as BufferEncoding) : 'utf8'
    sent.push(typeof chunk === 'string' ? Buffer.from(chunk, coding) : Buffer.from(chunk))
    return true
  }
  const incoming = new IncomingMessage(socket)
  incoming.method = 'GET'
  const outgoing = new ServerResponse(incoming)
  outgoing.assignSocket(socket)
  const rules = { clientIdleMs: 1000, addressOf: () => undefined }
  act(new Exchange('id', incoming, outgoing, rules, new HeldBodies(), isForOperators))
  const wire = Buffer.concat(sent)
  const end = wire.indexOf('\r\n\r\n')
  return { head: wire.toString('latin1', 0, end), body: wire.toString('utf8', end + 4) }
}

describe('an answer', () => {
  it('has a head of printable ASCII, whatever its values hold', () => {
    fc.assert(
      fc.property(hostileText, (text) => {
        const { head } = answered((exchange) => {
          exchange.warn(299, text)
          const headers = { 'Content-Type': text, 'Crossdock-Conversion': text }
          exchange.send(200, { ...headers, Link: [text, text] })
        })
        expect(head).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
        expect(head.split('\r\n').join('')).toMatch(/^[\x20-\x7e]*$/)
        expect(head.match(/^link:/gim)).toHaveLength(2)
      }),
    )
  })

  it('bounds its head, whatever is to be said', () => {
    const { head } = answered((exchange) => {
      for (let i = 0; i < 100; i += 1) exchange.warn(299, 'ü'.repeat(10_000))
      exchange.send(200, { 'Crossdock-Conversion': 'ü'.repeat(100_000) })
    })

    expect(head.length).toBeLessThan(16_384)
  })

  it.each([
    ['client gets the words that are for clients', false, 'the catalog is away'],
    ['operator gets all words', true, 'db.internal:5432 is away; see store.catalog'],
  ])('that is an error: a %s, and so does the log', (_, isForOperators, words) => {
    const message = 'db.internal:5432 is away; see store.catalog'
    const error = new CrossdockError('overloaded', message, { told: 'the catalog is away' })
    let refused: Exchange | undefined
    const { body } = answered((exchange) => {
      refused = exchange
      exchange.fail(error)
    }, isForOperators)

    expect(JSON.parse(body).errors[0].message).toBe(`${words} (request id)`)
    expect(refused?.refusal).toBe(words)
    expect(refused?.error).toBe(error)
  })

  it('quotes what it warns of', () => {
    const { head } = answered((exchange) => {
      exchange.warn(110, 'Response is Stale')
      exchange.warn(299, 'key "größe\\n" is there twice')
      exchange.send(200, {})
    })

    expect(head).toContain('Warning: 110 - "Response is Stale"\r\n')
    expect(head).toContain(
      'Warning: 299 - "key \\"gr\\\\u00f6\\\\u00dfe\\\\n\\" is there twice"\r\n',
    )
  })

  it('says in a refusal what failed, harmlessly and bounded, and keeps it for the log', () => {
    fc.assert(
      fc.property(hostileText, (text) => {
        let refusal: string | undefined
        const { body } = answered((exchange) => {
          exchange.fail(new CrossdockError('denied', text))
          refusal = exchange.refusal
        })

        expect(body).not.toMatch(OBEYED)
        expect(JSON.parse(body).errors[0].message).toBe(`${text} (request id)`)
        expect(refusal).toBe(text)
      }),
    )
    const long = answered((exchange) =>
      exchange.fail(new CrossdockError('denied', 'x'.repeat(1e6))),
    )
    expect(long.body.length).toBeLessThan(4096)
  })

  it('asks nobody to wait for longer than a day', () => {
    const { head } = answered((exchange) =>
      exchange.fail(new CrossdockError('tooManyRequests', 'x', { retryAfter: 1e12 })),
    )

    expect(head).toContain('Retry-After: 86400\r\n')
  })
})

describe('a client that takes nothing of a body in memory', () => {
  afterEach(() => vi.useRealTimers())

  /** What became of a client after a time, of one that may idle a minute. */
  async function afterMs(ms: number, held: number): Promise<string | undefined> {
    vi.useFakeTimers()
    const bodies = new HeldBodies()
    const release = bodies.hold(held)
    const socket = new Socket()
    socket.write = () => true
    const incoming = new IncomingMessage(socket)
    incoming.method = 'GET'
    const outgoing = new ServerResponse(incoming)
    outgoing.assignSocket(socket)
    const rules = { clientIdleMs: 60_000, addressOf: () => undefined }
    const exchange = new Exchange('id', incoming, outgoing, rules, bodies)
    exchange.send(200, {}, Buffer.alloc(1_000_000))
    await vi.advanceTimersByTimeAsync(ms)
    release()
    socket.destroy()
    return exchange.cut
  }

  it('is left after its time', async () => {
    expect(await afterMs(59_000, 0)).toBe(undefined)
    expect(await afterMs(61_000, 0)).toBe('client-stalled')
  })

  it('is left soon while clients hold much', async () => {
    expect(await afterMs(2_500, 64 * 1024 * 1024)).toBe('client-stalled')
  })
})

describe('a client that closes the connection', () => {
  it.each([
    ['on the last promised byte has had all of the body', 5, undefined],
    ['before that has left', 3, 'client-left'],
  ])('%s', async (_, bytes, cut) => {
    const socket = new Socket()
    socket.write = (...given: unknown[]) => {
      const taken = given.findLast((one) => typeof one === 'function')
      if (taken !== undefined) taken()
      return true
    }
    const incoming = new IncomingMessage(socket)
    incoming.method = 'GET'
    const outgoing = new ServerResponse(incoming)
    outgoing.assignSocket(socket)
    const rules = { clientIdleMs: 1000, addressOf: () => undefined }
    const exchange = new Exchange('id', incoming, outgoing, rules, new HeldBodies())
    exchange.begin(200, { 'Content-Length': 5 })

    await exchange.stream(
      (async function* () {
        yield Buffer.alloc(bytes)
        outgoing.destroy()
      })(),
    )
    exchange.closed()

    expect(exchange.cut).toBe(cut)
  })
})
