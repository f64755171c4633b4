/** The span of one question to an upstream, up to the head of its answer. */
import { traced } from '../lib/spans.ts'
import type { RequestKind } from './settings.ts'

export interface TracedAsk {
  readonly upstream: string
  readonly kind: RequestKind
  readonly method: string
  /** For messages: "manifest docker.io/library/alpine:3". */
  readonly what: string
  readonly url: URL
}

/** Tells neither path nor query: those of where somebody redirects to may hold a secret. */
export function tracedAsk<T extends { readonly statusCode: number }>(
  ask: TracedAsk,
  work: () => Promise<T>,
): Promise<T> {
  let status: number | undefined
  return traced(
    () => ({
      name: `upstream ${ask.kind}`,
      kind: 'client',
      attributes: {
        'http.request.method': ask.method,
        'server.address': ask.url.hostname,
        'crossdock.upstream': ask.upstream,
        'crossdock.what': ask.what,
      },
      outcome: () => ({ attributes: { 'http.response.status_code': status } }),
    }),
    async () => {
      const response = await work()
      status = response.statusCode
      return response
    },
  )
}
