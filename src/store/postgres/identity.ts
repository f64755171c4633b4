/** Whose catalog it is: one store has one catalog, and a catalog speaks of the blobs of one store. */
import { NOT_OURS, refusal } from './failures.ts'
import type { Session } from './database.ts'
import { textOf } from './values.ts'

/** The first server says it; others find it. */
const CLAIM = `INSERT INTO crossdock.identity (id, store) VALUES (1, $1) ON CONFLICT (id) DO NOTHING`
const FIND = 'SELECT catalog::text, store FROM crossdock.identity WHERE id = 1'

/** The catalog's own name, another for each database that was made. Throws when it belongs to another store than `store`. */
export async function identify(db: Session, address: string, store: string): Promise<string> {
  await db.query(CLAIM, [textOf(store)])
  const [row] = (await db.query(FIND)).rows
  const { catalog, store: known } = { catalog: String(row?.catalog), store: String(row?.store) }
  if (known === textOf(store)) return catalog
  const what = `it is the catalog of ${known}; give ${store} a database of its own, which is then filled from there`
  throw refusal(address, what, NOT_OURS)
}
