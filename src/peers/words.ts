/** What processes of one store say to each other over HTTP. */
import { isDigest, type Digest } from '../oci/digest.ts'
import type { Repository } from '../oci/repository.ts'

export const NONCE = 'crossdock-nonce'
export const PROOF = 'crossdock-proof'
/** Of the whole blob, bytes, or empty. */
export const SIZE = 'crossdock-size'
/** `yes`: upstream has let the repository read it. */
export const ADMITTED = 'crossdock-admitted'

/** After the bytes: the proof that the blob is stored by then. */
export const STORED = 'crossdock-stored'

/** Where a process is to be reached by the others, and what it knows them by. */
export interface Place {
  readonly url: string
  readonly key: string
}

export interface Question {
  readonly repository: Repository
  readonly digest: Digest
  readonly start: number
}

/** As the holder of a lease leaves it for others. */
export function noteOf({ url, key }: Place): string {
  return `${url} ${key}`
}

export function placeIn(note: string): Place | undefined {
  const [url, key, ...more] = note.split(' ')
  if (url === undefined || key === undefined || key === '' || more.length > 0) return undefined
  return URL.canParse(url) ? { url, key } : undefined
}

export function pathOf({ repository, digest, start }: Question): string {
  const { upstream, name } = repository
  return `/growing?${new URLSearchParams({ upstream, name, digest, start: String(start) })}`
}

export function questionIn(path: string): Question | undefined {
  const url = URL.parse(path, 'http://peer')
  if (url?.pathname !== '/growing') return undefined
  const [upstream, name, digest, start] = ['upstream', 'name', 'digest', 'start'].map(
    (key) => url.searchParams.get(key) ?? '',
  )
  if (!upstream || !name || !digest || !isDigest(digest)) return undefined
  if (start === undefined || !/^\d{1,15}$/.test(start)) return undefined
  return { repository: { upstream, name }, digest, start: Number(start) }
}
