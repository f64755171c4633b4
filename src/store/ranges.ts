/** What is said of a range that a blob does not have. */
import { CrossdockError } from '../errors.ts'
import type { Digest } from '../oci/digest.ts'
import type { ByteRange } from '../ports/blobs.ts'

export function rangeInvalid(digest: Digest, range: ByteRange, size: number): CrossdockError {
  return new CrossdockError(
    'rangeInvalid',
    `blob ${digest} has ${size} bytes, but bytes ${range.start} to ${range.end} were asked for; ask within its size`,
  )
}
