/** Which history of the database this is: each promotion of a standby, and each recovery to a point in time, begins another one. */
import type { Session } from './database.ts'
import { troubleOf } from './failures.ts'
import { textIn } from './values.ts'

/** The first eight digits of a WAL file's name (PostgreSQL's documentation, section 30.5). */
const TIMELINE = 'SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) AS timeline'

/** `00000001` of a server that was never anything else; `undefined`: it does not say, as some that are hosted. */
export async function timelineOf(db: Session): Promise<string | undefined> {
  try {
    const { rows } = await db.query(TIMELINE)
    return textIn(rows[0] ?? {}, 'timeline')
  } catch (error) {
    if (troubleOf(error) === 'away') throw error
    return undefined
  }
}
