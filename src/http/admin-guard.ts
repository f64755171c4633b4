/** Who may see the dashboard and use the admin API: whoever is on this machine, or whom a file of users names, and else nobody. */
import type { Access } from '../access/access.ts'
import { isLoopback } from '../config/address.ts'
import { CrossdockError } from '../errors.ts'
import type { Exchange } from './exchange.ts'

export interface AdminGuard {
  /** Why nobody gets in; `undefined`: somebody does. */
  readonly closed: CrossdockError | undefined
  /** Throws `unauthorized` or `denied`. */
  admit(exchange: Exchange): Promise<void>
}

/** `users`: those of `adminUsers`, where that is set; they are asked for on loopback as well. */
export function adminGuard(host: string, users: Pick<Access, 'identify'> | undefined): AdminGuard {
  const closed = users === undefined && !isLoopback(host) ? off() : undefined
  return {
    closed,
    async admit(exchange) {
      if (closed !== undefined) throw closed
      if (users !== undefined)
        exchange.principal = (await users.identify(exchange.credentials))?.name
    },
  }
}

function off(): CrossdockError {
  return new CrossdockError(
    'denied',
    'dashboard and admin API are off, since other machines reach this listener and nobody is asked who they are; set adminUsers in the configuration, or admin: 127.0.0.1:5001',
    { reason: 'admin-open' },
  )
}
