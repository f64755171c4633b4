/** Answers that take long (design: "Waiting"): early headers, patience, and what there is when it ends (docs/adr/0002, 0016). */
import type { ManifestAnswer, PendingAnswer } from '../convert/asks.ts'
import { CrossdockError } from '../errors.ts'
import { within } from '../lib/within.ts'
import type { Clock } from '../ports/clock.ts'
import { waitsForHead } from './client.ts'
import type { Exchange } from './exchange.ts'
import type { Headers } from './headers.ts'

export interface Patience {
  readonly clock: Clock
  readonly headerWaitMs: number
  readonly waitBudgetMs: number
}

/** How an answer goes out: with a head of its own, or behind the one that went out early. */
export interface Sender {
  /** For the early head. */
  readonly headers: Headers
  send(answer: ManifestAnswer): Promise<void>
  finish(answer: ManifestAnswer): void
}

/** A client that has waited `headerWait` since `began` learns the Content-Type, and gets the body when there is one. */
export async function waitFor(
  pending: PendingAnswer,
  exchange: Exchange,
  began: number,
  { clock, headerWaitMs, waitBudgetMs }: Patience,
  sender: Sender,
): Promise<void> {
  const waited = () => clock.monotonic() - began
  const inTime = await within(pending.answer, Math.max(0, headerWaitMs - waited()))
  if (inTime !== undefined) return await sender.send(inTime)
  if (pending.profile.onSlow === 'original') return await sender.send(pending.original)
  const left = () => Math.max(1, waitBudgetMs - waited())
  const staysSilent = exchange.isHead && waitsForHead(exchange.header('user-agent'))
  const promised = staysSilent ? undefined : await within(pending.mediaType, left())
  if (promised !== undefined) {
    exchange.conversion = 'pending'
    const headers = {
      ...sender.headers,
      'Content-Type': promised,
      'Crossdock-Conversion': 'pending',
    }
    if (exchange.isHead) return exchange.sendBareHead(headers)
    exchange.begin(200, headers)
  }
  const answer =
    (await within(pending.answer, left())) ?? (await pending.giveUp(waitBudgetMs / 1000))
  if (promised === undefined) return await sender.send(answer)
  // The head said that it was pending; the log says what came of it.
  exchange.conversion = answer.conversion
  if (promised === answer.mediaType) return sender.finish(answer)
  pending.owe(answer)
  throw new CrossdockError(
    'upstreamFailed',
    `what was announced as ${promised} is ${answer.mediaType}, since it comes as the ${answer.conversion}; pull again to get it`,
    { reason: 'other-type' },
  )
}
