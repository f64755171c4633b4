/** What can be wrong with corrections, worded once; they come out of bundles, so anything can. */
import { CrossdockError } from '../../errors.ts'

export function damaged(what: string, cause?: unknown): CrossdockError {
  return new CrossdockError(
    'badManifest',
    `the corrections of a gzip layer are damaged: ${what}; get them, or the layer itself, again`,
    { reason: 'corrections-damaged', cause },
  )
}

export function leadsOut(): CrossdockError {
  return damaged('a match leads out of its segment')
}

export function unknownCorrections(what: string): CrossdockError {
  return new CrossdockError(
    'badManifest',
    `the corrections of a gzip layer are of ${what}, which this crossdock does not know; use a newer one`,
    { reason: 'corrections-unknown' },
  )
}

/** Not what was analysed: the content, or what was made of it. */
export function mismatch(what: string): CrossdockError {
  return new CrossdockError(
    'badDigest',
    `a gzip layer cannot be made again: ${what} is not what its corrections were made for; get the layer itself`,
    { reason: 'restore-mismatch' },
  )
}
