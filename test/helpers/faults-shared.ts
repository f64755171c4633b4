/**
 * The part of `faults-preload.ts` for the shared pair: an object that is put is a rename to its key, one that is deleted a removal, and
 * a statement that writes a commit. Paths are those of the request, `/BUCKET/PREFIX/blobs/sha256/<hex>`.
 */
import http, { type ClientRequest, type RequestOptions } from 'node:http'
import pg from 'pg'
import type { Operation } from './faults-preload.ts'

export type Passes = (op: Operation, when: 'before' | 'after', path: string) => void

const DEEDS: Readonly<Record<string, Operation>> = { PUT: 'rename', DELETE: 'remove' }

const WRITES = /^\s*(?:INSERT|UPDATE|DELETE|COMMIT)\b/i

export function watchShared(passes: Passes): void {
  watchRequests(passes)
  watchStatements(passes)
}

function watchRequests(passes: Passes): void {
  const { request } = http
  const watched = (options: RequestOptions, ...rest: []): ClientRequest => {
    const { method = '', path = '' } = options
    const op = DEEDS[method]
    // Parts are seen by nobody before the whole is there.
    if (op === undefined || path?.includes('partNumber')) return request(options, ...rest)
    const [key = ''] = (path ?? '').split('?')
    passes(op, 'before', key)
    const asking = request(options, ...rest)
    asking.prependOnceListener('response', ({ statusCode = 0 }) => {
      if (statusCode < 300) passes(op, 'after', key)
    })
    return asking
  }
  http.request = watched as typeof request
}

function watchStatements(passes: Passes): void {
  type Query = (asked: string | { readonly text: string }, ...rest: unknown[]) => unknown
  const prototype = pg.Client.prototype as unknown as { query: Query }
  const { query } = prototype
  prototype.query = async function (this: object, asked, ...rest) {
    const text = typeof asked === 'string' ? asked : asked.text
    if (!WRITES.test(text)) return await query.call(this, asked, ...rest)
    passes('commit', 'before', text)
    const result = await query.call(this, asked, ...rest)
    passes('commit', 'after', text)
    return result
  }
}
