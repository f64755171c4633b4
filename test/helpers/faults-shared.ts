/**
 * The part of `faults-preload.ts` for the shared pair: an object that is put is a rename to its key, one that is deleted a removal, and
 * a statement that writes a commit, one that takes or renews a lease begins with its name. Paths are those of the request, `/BUCKET/PREFIX/blobs/sha256/<hex>`.
 */
import http, { type ClientRequest, type RequestOptions } from 'node:http'
import pg from 'pg'
import type { Operation } from './faults-preload.ts'

export type Passes = (op: Operation, when: 'before' | 'after', path: string) => void

const DEEDS: Readonly<Record<string, Operation>> = { PUT: 'rename', DELETE: 'remove' }

const WRITES = /^\s*(?:INSERT|UPDATE|DELETE|COMMIT)\b/i
const UPLOAD = /\b(?:partNumber|uploads|uploadId)\b/
const LEASES = /^WITH own AS[\s\S]*(?:INSERT INTO|UPDATE) crossdock\.leases/

export function watchShared(passes: Passes): void {
  watchRequests(passes)
  watchStatements(passes)
}

function watchRequests(passes: Passes): void {
  const { request } = http
  const watched = (options: RequestOptions, ...rest: []): ClientRequest => {
    const { method = '', path = '' } = options
    const [key = '', query = ''] = (path ?? '').split('?')
    // Parts are seen by nobody before the whole is there.
    const isUpload = method !== 'GET' && UPLOAD.test(query)
    const op = isUpload ? 'upload' : DEEDS[method]
    if (op === undefined) return request(options, ...rest)
    const what = isUpload ? `${method} ${key} ${query}` : key
    passes(op, 'before', what)
    const asking = request(options, ...rest)
    asking.prependOnceListener('response', ({ statusCode = 0 }) => {
      if (statusCode < 300) passes(op, 'after', what)
    })
    return asking
  }
  http.request = watched as typeof request
}

function watchStatements(passes: Passes): void {
  type Query = (
    asked: string | { readonly text: string; readonly values?: readonly unknown[] },
    ...rest: unknown[]
  ) => unknown
  const prototype = pg.Client.prototype as unknown as { query: Query }
  const { query } = prototype
  prototype.query = async function (this: object, asked, ...rest) {
    const text = typeof asked === 'string' ? asked : asked.text
    const op = WRITES.test(text) ? 'commit' : LEASES.test(text) ? 'lease' : undefined
    if (op === undefined) return await query.call(this, asked, ...rest)
    const named = typeof asked === 'string' ? '' : String(asked.values?.[0])
    const what = op === 'lease' ? `${named} ${text}` : text
    passes(op, 'before', what)
    const result = await query.call(this, asked, ...rest)
    passes(op, 'after', what)
    return result
  }
}
