/** Where blobs lie, as a text of the configuration: `disk` or `s3://...`. */
import { suggestion } from './problem.ts'

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

const BUCKET_HINT =
  "has no bucket's name before its path, which is 3 to 63 lower-case letters, digits, dots and hyphens"
const BLOBS_HINT =
  'must be disk, or s3://BUCKET/PREFIX with, where needed, ?endpoint=URL&region=R&forcePathStyle=true'

const CREDENTIALS_HINT =
  'must not hold credentials, and neither may its endpoint; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY'

export function parseBlobsPlace(text: string): BlobsPlace | Misplaced {
  if (text === 'disk') return { kind: 'disk' }
  const url = URL.parse(text)
  if (url?.protocol !== 's3:') return { problem: BLOBS_HINT }
  if (hasUser(url)) return { problem: CREDENTIALS_HINT }
  const prefix = url.pathname.replace(/^\/|\/$/g, '')
  if (url.host === '') return { problem: `has no bucket's name before its path: ${BLOBS_HINT}` }
  if (!BUCKET.test(url.host)) return { problem: BUCKET_HINT }
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

function hasUser({ username, password }: URL): boolean {
  return username !== '' || password !== ''
}

function parseParameters(
  query: URLSearchParams,
): Misplaced | { endpoint?: string; region?: string; forcePathStyle?: boolean } {
  const unknown = [...query.keys()].find((key) => !PARAMETERS.includes(key))
  if (unknown !== undefined) {
    return {
      problem: `knows no ${unknown}${suggestion(unknown, PARAMETERS)}; it may have ${PARAMETERS.join(', ')}`,
    }
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
