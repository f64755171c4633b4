/** Opens what the processes that share a store agree by: on PostgreSQL with the catalog, else in a file of the data folder. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../ports/clock.ts'
import type { Coordination, Sibling } from '../ports/leases.ts'
import type { StorePlace } from './halves.ts'
import { LeasedTurns } from './leased-turns.ts'
import { openPostgresCoordination } from './postgres/open.ts'
import type { Reach } from './reach.ts'
import { Coordination as CoordinationFile, coordinationDamaged } from './sqlite-coordination.ts'
import { SqliteFences } from './sqlite-fences.ts'
import { SqliteLeaseTable } from './sqlite-leases.ts'
import { SqliteNotices } from './sqlite-notices.ts'
import { TableLeases } from './table-leases.ts'

export interface CoordinationDeps {
  readonly catalog: StorePlace['catalog']
  /** The data folder. */
  readonly data: string
  readonly clock: Clock
  /** Of several processes of this machine that serve from one embedded store; `undefined`: it is alone. */
  readonly sibling: Sibling | undefined
  /** What siblings agree by is damaged, or another file than the others have: none of them can go on. */
  readonly onDamaged?: (() => void) | undefined
  /** Hears whether PostgreSQL answers. */
  readonly reach?: Reach | undefined
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
  sibling,
  onDamaged = () => undefined,
  reach,
}: CoordinationDeps): Promise<OpenCoordination | undefined> {
  if (catalog.kind === 'postgres')
    return await openPostgresCoordination({ url: catalog.url, clock, reach })
  if (sibling === undefined) return undefined
  return await openAmongSiblings(coordinationFile(data), clock, sibling, onDamaged)
}

export function coordinationFile(data: string): string {
  return join(data, 'coordination.sqlite')
}

/**
 * One server has the folder, so whatever others hold there is held by nobody: processes of a server before this one, and those
 * that this one has seen end. Whoever is only late, and still believes in its lease, has an old token.
 */
async function openAmongSiblings(
  path: string,
  clock: Clock,
  { server, number, gone }: Sibling,
  onDamaged: () => void,
): Promise<OpenCoordination> {
  // Others have it open, and would not see the one that is made now.
  if (number > 1 && !existsSync(path)) {
    onDamaged()
    throw coordinationDamaged()
  }
  const file = CoordinationFile.open(path, onDamaged)
  const { table, leases, ...rest } = withFile(
    file,
    clock,
    `${server}.${number}.`,
    `worker ${number}`,
  )
  const endOf = async (isMeant: (server: string, number: number) => boolean) => {
    const held = table.heldBy((holder) => {
      const [of = '', which] = holder.split('.', 2)
      return isMeant(of, Number(which))
    })
    await leases.endOthers(held)
  }
  await endOf((of, which) => of !== server || gone.includes(which))
  return {
    ...{ leases, ...rest },
    siblingsEnded: (numbers) => endOf((of, which) => of === server && numbers.includes(which)),
  }
}

/** Leases and notices of the processes of one machine, in this file. */
export function openSqliteCoordination(path: string, clock: Clock): OpenCoordination {
  return withFile(CoordinationFile.open(path), clock, '', '')
}

function withFile(file: CoordinationFile, clock: Clock, process: string, note: string) {
  const notices = new SqliteNotices(file)
  const table = new SqliteLeaseTable(file)
  const leases = new TableLeases(table, notices, clock, process)
  return {
    ...{ table, leases, notices },
    turns: new LeasedTurns(leases, clock, { note }),
    siblingsEnded: async () => undefined,
    fences: new SqliteFences(file),
    check: async () => void (await leases.find('check')),
    async [Symbol.asyncDispose]() {
      notices[Symbol.dispose]()
      file[Symbol.dispose]()
    },
  }
}
