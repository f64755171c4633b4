/** Pure: whom a registry may name as its token service. Where credentials go, the registry's word alone is not enough. */
import { literalIn } from './addresses.ts'

/** Second-level labels under which two-letter country domains hand out names. */
const SECOND_LEVEL = new Set(
  'ac ad asn co com ed edu gob gov go gr id idv in ltd mil ne net nhs nom or org plc re sch web'.split(
    ' ',
  ),
)

/** Domains whose subdomains belong to different people: there only the very same host will do. */
const SHARED = [
  'amazonaws.com',
  'appspot.com',
  'azurecr.io',
  'azureedge.net',
  'azurewebsites.net',
  'cloudapp.net',
  'cloudfront.net',
  'core.windows.net',
  'duckdns.org',
  'firebaseapp.com',
  'fly.dev',
  'github.io',
  'gitlab.io',
  'googleapis.com',
  'herokuapp.com',
  'netlify.app',
  'ngrok-free.app',
  'ngrok.app',
  'ngrok.io',
  'nip.io',
  'onrender.com',
  'pages.dev',
  'run.app',
  'sslip.io',
  'trycloudflare.com',
  'ts.net',
  'vercel.app',
  'web.app',
  'workers.dev',
  'xip.io',
]

export interface RealmRule {
  /** The registry that sent the challenge. */
  readonly registry: URL
  /** Hosts from the configuration, with or without a port. */
  readonly allowedRealms: readonly string[]
}

/** The realm's URL, or `undefined` when credentials must not go there. */
export function allowedRealm(realm: string, rule: RealmRule): URL | undefined {
  const url = realmUrl(realm, rule)
  if (url === undefined || url.host === rule.registry.host || isConfigured(url, rule)) return url
  const domain = registrableDomain(url.hostname)
  return domain !== undefined && domain === registrableDomain(rule.registry.hostname)
    ? url
    : undefined
}

/** The realm's URL wherever it is, to be asked for an anonymous token; `undefined` when it can be asked for none. */
export function realmUrl(realm: string, rule: RealmRule): URL | undefined {
  // A relative one is meant at the registry (RFC 3986); nothing at all is none.
  const { href } = rule.registry
  if (realm === '' || realm.length > 2_048 || !URL.canParse(realm, href)) return undefined
  const url = new URL(realm, href)
  const isPlainAllowed = url.protocol === 'http:' && rule.registry.protocol === 'http:'
  if (url.protocol !== 'https:' && !isPlainAllowed) return undefined
  return url.username !== '' || url.password !== '' ? undefined : url
}

/** True when the configuration itself names the host. */
export function isConfigured(url: URL, rule: RealmRule): boolean {
  return rule.allowedRealms.some((host) => {
    const hasPort = /:\d+$/.test(host)
    return host.toLowerCase() === (hasPort ? url.host : url.hostname)
  })
}

/** `auth.docker.io` -> `docker.io`; `undefined` for addresses, single labels and domains that many share. */
export function registrableDomain(hostname: string): string | undefined {
  const host = hostname.toLowerCase().replace(/\.$/, '')
  if (literalIn(host) !== undefined) return undefined
  if (SHARED.some((domain) => host === domain || host.endsWith(`.${domain}`))) return undefined
  const labels = host.split('.')
  const [second = '', top = ''] = labels.slice(-2)
  const count = top.length === 2 && SECOND_LEVEL.has(second) ? 3 : 2
  return labels.length < count ? undefined : labels.slice(-count).join('.')
}
