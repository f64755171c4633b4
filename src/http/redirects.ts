/** Which requests for blobs may be sent on to where the bytes lie (reference: redirects; ADR 37). */
import type { IncomingMessage } from 'node:http'
import { TLSSocket } from 'node:tls'

/** What is known of who asks. */
export interface Asker {
  readonly isHead: boolean
  readonly userAgent: string | undefined
  readonly range: string | undefined
  readonly ifRange: string | undefined
  /** As the client wrote it, with its port. */
  readonly host: string | undefined
  readonly isEncrypted: boolean
  readonly hasCredentials: boolean
}

/** Those that were seen to follow with all their headers but `Authorization`; who is not known gets bytes. */
const FOLLOWERS =
  /^(?:containers|buildah|skopeo|cri-o|docker|containerd|buildkit|oras)\/|\bgo-containerregistry\b/i

/** crane 0.21.7 and newer, and what is built of it, goes from a name to no address that may be a private one. */
const NAMES_ONLY = /\bgo-containerregistry\b/

const LITERAL = /^(?:\[.*\]|[\d.]+)$/

/** S3 answers one range, or the whole; several at once it does not know. */
const ONE_RANGE = /^bytes=(?:\d+-\d*|-\d+)$/

/** Whether it is worth to look for the blob's address. */
export function followsRedirects(asker: Asker): boolean {
  if (asker.isHead || asker.ifRange !== undefined) return false
  if (asker.range !== undefined && !ONE_RANGE.test(asker.range)) return false
  return FOLLOWERS.test(asker.userAgent ?? '')
}

/** Whether the asker may be sent to this very address. */
export function mayBeSentTo(asker: Asker, address: URL): boolean {
  const { protocol, hostname } = address
  if (asker.isEncrypted && protocol !== 'https:') return false
  if (NAMES_ONLY.test(asker.userAgent ?? '') && LITERAL.test(hostname)) return false
  // Go sends credentials on to any port of the same host, where S3 refuses two kinds at once.
  return !(asker.hasCredentials && hostOf(asker.host) === hostname.toLowerCase())
}

export function askerOf({ method, headers, socket }: IncomingMessage): Asker {
  return {
    isHead: method === 'HEAD',
    userAgent: headers['user-agent'],
    range: headers.range,
    ifRange: headers['if-range']?.toString(),
    host: headers.host,
    isEncrypted: socket instanceof TLSSocket,
    hasCredentials: headers.authorization !== undefined,
  }
}

function hostOf(host: string | undefined): string | undefined {
  return URL.parse(`http://${host}`)?.hostname
}
