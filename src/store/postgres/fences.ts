/** Steps that happen only while a lease is held: within the transaction nobody can take it over. */
import type { Fence } from '../../ports/shared-turns.ts'
import { leaseLost } from '../held-lease.ts'
import type { Session } from './database.ts'
import { textOf } from './values.ts'

/**
 * No catalog that is made later gives the same token (`leases.ts`), so that it is asked as well whether this is the catalog under which
 * the lease was taken. The lock lets nobody change the row, its holder neither, before the transaction ends.
 */
const HOLDS = `SELECT FROM crossdock.leases
  WHERE name = $1 AND token = $2 AND expires_at > clock_timestamp() FOR SHARE`

/** Throws `lease-lost`; without a fence there is nothing to ask. */
export async function assertHeld(session: Session, fence: Fence | undefined): Promise<void> {
  if (fence === undefined) return
  const { lease, token } = fence
  const { rows } = await session.query(HOLDS, [textOf(lease), token])
  if (rows.length === 0) throw leaseLost(lease)
}
