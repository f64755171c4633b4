/** Errors of decoders, worded once. */
import { CrossdockError } from '../errors.ts'
import type { Compression } from './codec.ts'

export function corrupt(
  compression: Compression,
  what: string,
  reason: 'truncated' | 'corrupt' | 'trailing-data' | 'dictionary',
  cause?: unknown,
): CrossdockError {
  return new CrossdockError(
    'badManifest',
    `layer cannot be decompressed: its ${compression} data has ${what}`,
    { reason: `${compression}-${reason}`, cause },
  )
}

export function beyondLimit(compression: Compression, maxOutput: number): CrossdockError {
  return new CrossdockError(
    'badSize',
    `layer is refused: its ${compression} data unpacks to more than ${maxOutput} bytes`,
    { reason: 'layer-too-large' },
  )
}
