/** Whose catalog it is: one store has one catalog, and a catalog speaks of the blobs of one store. */
import type { Session } from './database.ts'
import type { ClientBase, Row } from './driver.ts'
import { NOT_OURS, refusal } from './failures.ts'
import { textIn, textOf } from './values.ts'

const NAME = 'INSERT INTO crossdock.identity (id) VALUES (1) ON CONFLICT (id) DO NOTHING'
/** The first store says it. */
const CLAIM = 'UPDATE crossdock.identity SET store = $1 WHERE id = 1 AND store IS NULL'
export const FIND = 'SELECT catalog::text, store FROM crossdock.identity WHERE id = 1'

/** The name that a catalog has or gets, another for each that was made. */
export async function nameOn(client: ClientBase): Promise<string> {
  await client.query(NAME)
  return textIn((await client.query<Row>(FIND)).rows[0] ?? {}, 'catalog')
}

/**
 * For statements that must not be answered by another catalog than the one that was opened: as `own`, one row where it is the one that
 * the parameter (`$4`, say) names.
 */
export function ownBy(parameter: string): string {
  return `own AS (SELECT FROM crossdock.identity WHERE id = 1 AND catalog = ${parameter}::uuid)`
}

/** What such a statement says. */
export const IS_OWN = 'EXISTS (SELECT FROM own) AS is_own'

/** The question alone. */
export const ASK_OWN = `WITH ${ownBy('$1')} SELECT ${IS_OWN}`

/** Throws when a catalog belongs to another store than `store`. */
export async function assertFor(db: Session, address: string, store: string): Promise<void> {
  const [row = {}] = (await db.query(FIND)).rows
  if (row.store !== null) assertOwn(address, textIn(row, 'store'), store)
}

/** From now on it is this store's and no other's. Throws when another one was quicker. */
export async function claimFor(db: Session, address: string, store: string): Promise<void> {
  await db.query(NAME)
  await db.query(CLAIM, [textOf(store)])
  const [row = {}] = (await db.query(FIND)).rows
  assertOwn(address, textIn(row, 'store'), store)
}

/** Throws unless the store that a catalog belongs to is this one. */
export function assertOwn(address: string, known: string, store: string): void {
  if (known === textOf(store)) return
  const what = `it is the catalog of ${known}; give ${store} a database of its own, which is then filled from there, or, when no server uses this one with ${known} any more, empty it with DROP SCHEMA crossdock CASCADE`
  throw refusal(address, what, NOT_OURS)
}
