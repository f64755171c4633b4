/** A process that holds a lease and says so, line by line: `token N` when it has it, `lost` when it must stop. */
import { systemClock } from '../../src/clock.ts'
import { HeldLease } from '../../src/store/held-lease.ts'
import { openPostgresCoordination } from '../../src/store/postgres/open.ts'

const [url = '', name = '', ttl = ''] = process.argv.slice(2)
const { leases } = await openPostgresCoordination({ url, clock: systemClock })
const held = await HeldLease.take(leases, systemClock, name, Number(ttl))
if (held === undefined) throw new Error('somebody has it')
console.log(`token ${held.lease.token}`)
held.signal.addEventListener('abort', () => console.log('lost'))
