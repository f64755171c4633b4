/** What makes gzip layers again from their tars, as export, import and their tests need it. */
import { analyse } from '../codec/restore/analyse.ts'
import { rebuild } from '../codec/restore/rebuild.ts'

export interface RestoreCodec {
  readonly analyse: typeof analyse
  readonly rebuild: typeof rebuild
}

export const RESTORE_CODEC: RestoreCodec = { analyse, rebuild }
