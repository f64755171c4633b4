/** Opens what the processes that share a store agree by: on PostgreSQL with the catalog, else in a file of the data folder. */
import { join } from 'node:path'
import type { Clock } from '../ports/clock.ts'
import type { Coordination } from '../ports/leases.ts'
import type { StorePlace } from './halves.ts'
import { LeasedTurns } from './leased-turns.ts'
import { openPostgresCoordination } from './postgres/open.ts'
import { Coordination as CoordinationFile } from './sqlite-coordination.ts'
import { SqliteFences } from './sqlite-fences.ts'
import { SqliteLeaseTable } from './sqlite-leases.ts'
import { SqliteNotices } from './sqlite-notices.ts'
import { TableLeases } from './table-leases.ts'

export interface CoordinationDeps {
  readonly catalog: StorePlace['catalog']
  /** The data folder. */
  readonly data: string
  readonly clock: Clock
  /** Several processes of this machine serve from one embedded store. */
  readonly hasWorkers: boolean
}

export interface OpenCoordination extends Coordination {
  /** Where the catalog, in another file, needs them. */
  readonly fences?: SqliteFences
}

/** `undefined`: there is nobody to agree with. */
export async function openCoordination({
  catalog,
  data,
  clock,
  hasWorkers,
}: CoordinationDeps): Promise<OpenCoordination | undefined> {
  if (catalog.kind === 'postgres')
    return await openPostgresCoordination({ url: catalog.url, clock })
  return hasWorkers ? openSqliteCoordination(join(data, 'coordination.sqlite'), clock) : undefined
}

/** Leases and notices of the processes of one machine, in this file. */
export function openSqliteCoordination(path: string, clock: Clock): OpenCoordination {
  const file = CoordinationFile.open(path)
  const notices = new SqliteNotices(file)
  const leases = new TableLeases(new SqliteLeaseTable(file), notices, clock)
  return {
    ...{ leases, notices },
    turns: new LeasedTurns(leases, clock),
    fences: new SqliteFences(file),
    check: async () => void (await leases.find('check')),
    async [Symbol.asyncDispose]() {
      notices[Symbol.dispose]()
      file[Symbol.dispose]()
    },
  }
}
