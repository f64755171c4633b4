/** The keys below `replicas`: how servers of one store reach each other. */
import { z } from 'zod'
import { parseAddress } from './address.ts'
import { checked } from './fields.ts'

const address = checked('an address HOST:PORT, e.g. 0.0.0.0:5002 or "[::]:5002"', parseAddress)

export const replicas = z.strictObject({
  listen: address
    .optional()
    .meta({ restart: true })
    .describe(
      'Where this server lets the others follow its downloads: only for them, who prove themselves by a key in PostgreSQL. Without it they wait until a blob is in the store.',
    ),
  advertise: address
    .optional()
    .meta({ restart: true })
    .describe(
      'Where the others reach `listen`; default: what it says, or for all addresses (`0.0.0.0`) the first one of this machine that is not loopback.',
    ),
})
