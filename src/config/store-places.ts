/** Where catalog and blobs lie, as texts of the configuration: `sqlite` or `postgres://...`, `disk` or `s3://...`. */

export type CatalogPlace =
  | { readonly kind: 'sqlite' }
  | { readonly kind: 'postgres'; readonly url: string }

export type BlobsPlace =
  | { readonly kind: 'disk' }
  | {
      readonly kind: 's3'
      readonly bucket: string
      readonly prefix: string
      readonly endpoint?: string
      readonly region?: string
      readonly forcePathStyle?: boolean
    }

/** What is wrong with a text, for "must be ...". */
export interface Misplaced {
  readonly problem: string
}

/** S3's rules: 3 to 63 lower-case letters, digits, dots and hyphens. */
const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/

/** Characters that every server takes as they are; keys have room for more behind it. */
const PREFIX = /^[A-Za-z0-9_-][A-Za-z0-9._-]*(?:\/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$/
const MAX_PREFIX = 200

const PARAMETERS = ['endpoint', 'region', 'forcePathStyle']

const CATALOG_HINT = 'must be sqlite, or postgres://USER@HOST:PORT/DATABASE'
const SEVERAL_HINT =
  'must name one host, which leads to the primary also after a failover (a name that moves, a proxy), and not several'
const BLOBS_HINT =
  'must be disk, or s3://BUCKET/PREFIX with, where needed, ?endpoint=URL&region=R&forcePathStyle=true'

const CREDENTIALS_HINT =
  'must not hold credentials, and neither may its endpoint; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY'

/** `HOST,HOST`, each perhaps with a port, as other clients of PostgreSQL take it; nobody's name has a comma. */
const SEVERAL_HOSTS = /^postgres(?:ql)?:\/\/(?:[^@/]*@)?[^/?@]*,/

export function parseCatalogPlace(text: string): CatalogPlace | Misplaced {
  if (text === 'sqlite') return { kind: 'sqlite' }
  if (SEVERAL_HOSTS.test(text)) return { problem: SEVERAL_HINT }
  const url = URL.parse(text)
  const isPostgres = url?.protocol === 'postgres:' || url?.protocol === 'postgresql:'
  return isPostgres ? { kind: 'postgres', url: text } : { problem: CATALOG_HINT }
}

export function parseBlobsPlace(text: string): BlobsPlace | Misplaced {
  if (text === 'disk') return { kind: 'disk' }
  const url = URL.parse(text)
  if (url?.protocol !== 's3:') return { problem: BLOBS_HINT }
  if (hasUser(url)) return { problem: CREDENTIALS_HINT }
  const prefix = url.pathname.replace(/^\/|\/$/g, '')
  if (!BUCKET.test(url.host))
    return { problem: `has no bucket's name before its path: ${BLOBS_HINT}` }
  if (prefix.length > MAX_PREFIX || (prefix !== '' && !PREFIX.test(prefix))) {
    return {
      problem: `may have letters, digits, ".", "_", "-" and "/" after the bucket, ${MAX_PREFIX} at most`,
    }
  }
  const more = parseParameters(url.searchParams)
  return 'problem' in more ? more : { kind: 's3', bucket: url.host, prefix, ...more }
}

export function formatBlobsPlace(place: BlobsPlace): string {
  if (place.kind === 'disk') return 'disk'
  const { bucket, prefix, endpoint, region, forcePathStyle } = place
  const query = [
    ...(endpoint === undefined ? [] : [`endpoint=${endpoint}`]),
    ...(region === undefined ? [] : [`region=${region}`]),
    ...(forcePathStyle === undefined ? [] : [`forcePathStyle=${forcePathStyle}`]),
  ]
  const path = prefix === '' ? '' : `/${prefix}`
  return `s3://${bucket}${path}${query.length > 0 ? `?${query.join('&')}` : ''}`
}

/** Without the password. */
export function formatCatalogPlace(place: CatalogPlace, hidden: string): string {
  if (place.kind === 'sqlite') return 'sqlite'
  const url = URL.parse(place.url)
  if (url === null) return hidden
  const secrets = url.password !== '' || url.searchParams.has('password')
  if (!secrets) return place.url
  url.searchParams.delete('password')
  url.password = ''
  const user = url.username === '' ? '' : `${url.username}:${hidden}@`
  return `${url.protocol}//${user}${url.host}${url.pathname}${url.search}`
}

function hasUser({ username, password }: URL): boolean {
  return username !== '' || password !== ''
}

function parseParameters(
  query: URLSearchParams,
): Misplaced | { endpoint?: string; region?: string; forcePathStyle?: boolean } {
  const unknown = [...query.keys()].find((key) => !PARAMETERS.includes(key))
  if (unknown !== undefined) {
    return { problem: `knows no ${unknown}; it may have ${PARAMETERS.join(', ')}` }
  }
  const endpoint = query.get('endpoint')
  const region = query.get('region')
  const style = query.get('forcePathStyle')
  if (endpoint !== null) {
    const url = URL.parse(endpoint)
    if (url === null || !/^https?:$/.test(url.protocol)) {
      return { problem: 'must have an http:// or https:// URL as endpoint' }
    }
    if (hasUser(url)) return { problem: CREDENTIALS_HINT }
  }
  if (region !== null && !/^[a-z0-9-]+$/.test(region)) {
    return { problem: 'must have a name such as eu-central-1 as region' }
  }
  if (style !== null && style !== 'true' && style !== 'false') {
    return { problem: 'must have true or false as forcePathStyle' }
  }
  return {
    ...(endpoint !== null && { endpoint }),
    ...(region !== null && { region }),
    ...(style !== null && { forcePathStyle: style === 'true' }),
  }
}
