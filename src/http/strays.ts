/** Connections that never became a request, since client and listener do not speak the same: which of both is to change is known. */
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { clientKey } from './client-address.ts'

/** `noCertificate`, `badCertificate`: the listener wants one of `clientCa`. */
export type StrayKind = 'tlsToPlain' | 'plainToTls' | 'noCertificate' | 'badCertificate'

export interface Stray {
  readonly kind: StrayKind
  /** `undefined`: it has gone by then. */
  readonly client: string | undefined
  /** What counts as one client: its address, or the network that it has of its own. */
  readonly network: string
  /** What OpenSSL says of its certificate. */
  readonly detail?: string
}

/** First byte of a TLS record that begins a handshake (RFC 8446 section 5.1), which no method of HTTP begins with. */
const HANDSHAKE = 22

interface ClientError extends Error {
  readonly code?: string | undefined
  /** Of Node's HTTP parser. */
  readonly rawPacket?: Uint8Array | undefined
}

/** `undefined`: it is something else. */
export function strayOf(error: ClientError, socket: Socket): Stray | undefined {
  const who = { client: socket.remoteAddress, network: clientKey(socket.remoteAddress) }
  if (!(socket instanceof TLSSocket)) {
    return beginsHandshake(socket, error.rawPacket) ? { kind: 'tlsToPlain', ...who } : undefined
  }
  if (error.code === 'ERR_SSL_HTTP_REQUEST') return { kind: 'plainToTls', ...who }
  if (error.code === 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE') {
    return { kind: 'noCertificate', ...who }
  }
  // Node ends such a connection without an error of its own.
  const { authorizationError } = socket
  if (!authorizationError) return undefined
  return { kind: 'badCertificate', ...who, detail: String(authorizationError) }
}

/** A connection that begins with one; a later packet may begin with any byte. */
function beginsHandshake({ bytesRead }: Socket, packet: Uint8Array | undefined): boolean {
  return packet?.[0] === HANDSHAKE && packet.byteLength === bytesRead
}
