/**
 * Which names a listener answers to. A web page can make its own name point at this machine (DNS rebinding) and then reads
 * whatever a private listener says; the name is what betrays it. Others than 421 Misdirected Request: RFC 9110 section 15.5.20.
 */
import { isIP } from 'node:net'
import { isLoopback } from '../config/address.ts'
import { CrossdockError } from '../errors.ts'

export interface HostSettings {
  /** What the listener is bound to. */
  readonly host: string
  readonly hostnames: readonly string[]
  /** Shows what only its operator should see, whatever it is bound to. */
  readonly isAdmin: boolean
}

export interface HostRule {
  /** Throws `misdirected` for a host that is none of this listener's, and `requestInvalid` for two hosts. */
  check(rawHeaders: readonly string[], authority: string | undefined): void
}

/** Names of the loopback interface on every machine (RFC 6761 section 6.3, /etc/hosts of the distributions). */
const OWN_NAMES: ReadonlySet<string> = new Set([
  'localhost',
  'localhost.localdomain',
  'ip6-localhost',
  'ip6-loopback',
])

export function hostRule(settings: HostSettings): HostRule {
  const { host, isAdmin } = settings
  const isPrivate = isLoopback(host)
  const isNamed = (name: string) =>
    name === host.toLowerCase() || settings.hostnames.some((one) => one.toLowerCase() === name)
  const answersTo = (name: string) => {
    if (OWN_NAMES.has(name) || name.endsWith('.localhost') || isNamed(name)) return true
    // An address in place of a name is no name that somebody else could have pointed here.
    return isIP(name) !== 0 && (isLoopback(name) || !isPrivate)
  }
  const isOpen = !isPrivate && !isAdmin
  let lastRight: { readonly authority: string; readonly among: readonly string[] } | undefined
  const check = (authority: string | undefined) => {
    if (isOpen || authority === undefined || authority === '') return
    const { hostnames } = settings
    if (authority === lastRight?.authority && hostnames === lastRight.among) return
    const name = parseHost(authority)
    if (name === undefined || !answersTo(name)) throw misdirected(authority)
    lastRight = { authority, among: hostnames }
  }
  return {
    check(rawHeaders, authority) {
      check(authority)
      check(findHost(rawHeaders))
    },
  }
}

/** The one Host; Node takes the first of several, and whoever stands in front may have taken another one. */
function findHost(rawHeaders: readonly string[]): string | undefined {
  let host: string | undefined
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]
    if (name?.length !== 4 || name.toLowerCase() !== 'host') continue
    if (host !== undefined) {
      throw new CrossdockError('requestInvalid', 'request has two Host headers; send one')
    }
    host = rawHeaders[i + 1] ?? ''
  }
  return host
}

/** `LOCALHOST.:5000` is `localhost`, `[::1]:5000` is `::1`; `undefined` for what is no host and port. */
function parseHost(authority: string): string | undefined {
  const [, bracketed, plain] =
    /^(?:\[([0-9a-f:.]+)\]|([^:@/[\]\s]+?)\.?)(?::\d*)?$/.exec(authority.toLowerCase()) ?? []
  return bracketed ?? plain
}

function misdirected(authority: string): CrossdockError {
  return new CrossdockError(
    'misdirected',
    `this listener does not answer for ${JSON.stringify(authority.slice(0, 255))}; ask for localhost, or add the name to hostnames in the configuration`,
    { reason: 'misdirected' },
  )
}
