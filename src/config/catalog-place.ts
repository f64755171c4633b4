/** Where the catalog lies, as a text of the configuration: `sqlite` or `postgres://...`. */
import { suggestion } from './problem.ts'
import type { Misplaced } from './store-places.ts'

export type CatalogPlace =
  | { readonly kind: 'sqlite' }
  | { readonly kind: 'postgres'; readonly url: string }

const CATALOG_HINT = 'must be sqlite, or postgres://USER@HOST:PORT/DATABASE'
const SEVERAL_HINT =
  'must name one host, which leads to the primary also after a failover (a name that moves, a proxy), and not several'
const ESCAPES_HINT =
  'must have @ / : ? # % and spaces of a user name and password written as %40 %2F %3A %3F %23 %25 %20, or its password in the variable PGPASSWORD'

/** What comes before the LAST `@` can only be a user and a password: readers of URLs differ over any other. */
const POSTGRES = /^postgres(?:ql)?:\/\/(?:(?<login>.*)@)?(?<rest>[^@]*)$/is
const LOGIN_PART = /^(?:[^@/:?#%\s]|%[0-9a-f]{2})*$/i

const SSL_MODES = ['disable', 'prefer', 'require', 'verify-ca', 'verify-full', 'no-verify']

/** Of those that the driver takes: limits of time are ours. */
const PARAMETERS = [
  ...['sslmode', 'sslrootcert', 'sslcert', 'sslkey', 'sslnegotiation'],
  ...['host', 'port', 'user', 'password', 'application_name', 'options'],
]

export function parseCatalogPlace(text: string): CatalogPlace | Misplaced {
  if (text === 'sqlite') return { kind: 'sqlite' }
  const { login = '', rest } = POSTGRES.exec(text)?.groups ?? {}
  if (rest === undefined) return { problem: CATALOG_HINT }
  if (!isLogin(login) || rest.includes('#')) return { problem: ESCAPES_HINT }
  const [hosts = ''] = rest.split(/[/?]/, 1)
  if (hosts.includes(',')) return { problem: SEVERAL_HINT }
  const url = URL.parse(text)
  if (url === null) return { problem: CATALOG_HINT }
  const problem = problemOf(url.searchParams)
  return problem === undefined ? { kind: 'postgres', url: text } : { problem }
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

function isLogin(login: string): boolean {
  const [user = '', password = '', ...more] = login.split(':')
  return more.length === 0 && [user, password].every((part) => isDecodable(part))
}

function isDecodable(part: string): boolean {
  if (!LOGIN_PART.test(part)) return false
  try {
    decodeURIComponent(part)
    return true
  } catch {
    return false
  }
}

/** Values are named where they cannot be a secret. */
function problemOf(query: URLSearchParams): string | undefined {
  const keys = [...query.keys()]
  const unknown = keys.find((key) => !PARAMETERS.includes(key))
  if (unknown !== undefined) {
    return `knows no ${unknown}${suggestion(unknown, PARAMETERS)}; it may have ${PARAMETERS.join(', ')}`
  }
  const twice = keys.find((key, index) => keys.indexOf(key) !== index)
  if (twice !== undefined) return `must have ${twice} once`
  const mode = query.get('sslmode')
  if (mode !== null && !SSL_MODES.includes(mode)) {
    return `must have one of ${SSL_MODES.join(', ')} as sslmode`
  }
  return query.get('host')?.includes(',') ? SEVERAL_HINT : undefined
}
