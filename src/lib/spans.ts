/**
 * Spans of work, for whoever subscribes to the channels: nobody, unless tracing.ts was loaded before. Nothing is computed and
 * nothing wrapped then.
 */
import { channel, tracingChannel } from 'node:diagnostics_channel'

export type Attributes = Readonly<Record<string, string | number | boolean | undefined>>

export interface SpanFacts {
  /** `manifest`, `upstream blob`: a handful of names. */
  readonly name: string
  /** `server`: a request of a client; `client`: one of ours. */
  readonly kind: 'server' | 'client' | 'internal'
  readonly attributes: Attributes
  /** The header that a client sent with its request (W3C Trace Context). */
  readonly traceparent?: string | undefined
  /** What is known at its end; `failed`: it is to be looked at. */
  readonly outcome?: () => { readonly attributes: Attributes; readonly failed?: boolean }
}

/** The message of the channel. */
export interface SpanMessage {
  readonly facts: SpanFacts
  /** Set when the work was rejected. */
  readonly error?: unknown
}

/** `tracing:crossdock:start` and its like. */
export const SPANS = tracingChannel<unknown, SpanMessage>('crossdock')

/** Whoever has spans that nobody has taken yet adds a promise. */
export const ENDING = channel('crossdock:ending')

/** Runs `work` as a span below the one that it is called in. */
export function traced<T>(facts: () => SpanFacts, work: () => Promise<T>): Promise<T> {
  return SPANS.hasSubscribers ? SPANS.tracePromise(work, { facts: facts() }) : work()
}

/** Resolves when all spans that have ended were handed over. */
export async function spansHandedOver(): Promise<void> {
  const waits: Promise<unknown>[] = []
  ENDING.publish(waits)
  await Promise.allSettled(waits)
}
