/** The dashboard's script, style and icon: files beside this one, read at the start and served as they are, no build between. */
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { extname } from 'node:path'
import { CrossdockError } from '../errors.ts'
import { matchesEtag } from './etag.ts'
import type { Exchange } from './exchange.ts'

const FOLDER = new URL('./dashboard/', import.meta.url)

const TYPES: Readonly<Record<string, string>> = {
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
}

export interface Assets {
  /** Throws `notFound`. */
  send(exchange: Exchange, name: string): void
}

interface Asset {
  readonly bytes: Uint8Array
  readonly type: string
  readonly etag: string
}

export async function readAssets(): Promise<Assets> {
  const assets = new Map<string, Asset>()
  for (const name of await readdir(FOLDER)) {
    const type = TYPES[extname(name)]
    if (type === undefined) continue
    const bytes = await readFile(new URL(name, FOLDER))
    const etag = `"${createHash('sha256').update(bytes).digest('base64url')}"`
    assets.set(name, { bytes, type, etag })
  }
  return { send: (exchange, name) => send(exchange, assets.get(name)) }
}

function send(exchange: Exchange, asset: Asset | undefined): void {
  if (asset === undefined) {
    throw new CrossdockError('notFound', 'the dashboard has no such file; reload its page')
  }
  const { bytes, type, etag } = asset
  // An upgraded server has other files under the same names.
  const headers = { ETag: etag, 'Cache-Control': 'no-cache' }
  const isKnown = matchesEtag(exchange.header('if-none-match'), etag)
  if (isKnown) exchange.send(304, headers)
  else exchange.send(200, { ...headers, 'Content-Type': type }, bytes)
}
