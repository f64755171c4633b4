/** Certificate, key and authorities of a listener as they are now: a new set is used for the connections that follow. */
import { readFileSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import type { Server } from 'node:https'
import { createSecureContext } from 'node:tls'
import { isDeepStrictEqual } from 'node:util'

/** Files. */
export interface ListenerTls {
  readonly cert: string
  readonly key: string
  readonly clientCa?: string | undefined
}

/** Whoever replaces certificates does it days before they expire. */
const LOOK_MS = 60_000

export function tlsOptions(tls: ListenerTls) {
  return {
    cert: readFileSync(tls.cert),
    key: readFileSync(tls.key),
    ...(tls.clientCa !== undefined && {
      ca: readFileSync(tls.clientCa),
      requestCert: true,
      rejectUnauthorized: true,
    }),
  }
}

export interface FollowedCertificates {
  /** Looks now; resolves with true for new ones. Rejects for files that cannot be used, and goes on with those of before. */
  look(): Promise<boolean>
}

/** Looks for new files now and then, as long as the server listens; what does not fit together is not used. */
export function followCertificates(
  server: Server,
  tls: ListenerTls,
  everyMs: number = LOOK_MS,
): FollowedCertificates {
  let known = tlsOptions(tls)
  let version: string | undefined
  const look = async () => {
    const now = await versionOf(tls)
    if (now === version) return false
    const options = tlsOptions(tls)
    createSecureContext(options)
    server.setSecureContext(options)
    const isNew = !isDeepStrictEqual(options, known)
    version = now
    known = options
    return isNew
  }
  // Unreadable or half replaced: the old ones go on, and the next look may find the new ones whole.
  const timer = setInterval(() => look().catch(() => undefined), everyMs).unref()
  server.once('close', () => clearInterval(timer))
  return { look }
}

async function versionOf({ cert, key, clientCa }: ListenerTls): Promise<string> {
  const files = [cert, key, ...(clientCa === undefined ? [] : [clientCa])]
  const stats = await Promise.all(files.map((file) => stat(file, { bigint: true })))
  return stats.map(({ dev, ino, size, mtimeNs }) => `${dev} ${ino} ${size} ${mtimeNs}`).join()
}
