/** What makes gzip layers again from their tars, as export and import need it. */
import type { analyse } from '../codec/restore/analyse.ts'
import type { rebuild } from '../codec/restore/rebuild.ts'

export interface RestoreCodec {
  readonly analyse: typeof analyse
  readonly rebuild: typeof rebuild
}
