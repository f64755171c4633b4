/**
 * Pure: where things lie below the store's prefix, and back. Every part of a key fits a file name (255 bytes), and no key is a
 * folder of another: there are servers that keep objects as files.
 *
 *     blobs/sha256/<hex>                                                  bytes by digest
 *     sidecars/sha256/<hex>.json                                          beside every manifest
 *     proofs/sha256/<hex>/<standing>-<role>-<size>/<upstream>/<name>/-    a fact that is its key: empty
 *     forgotten/, platforms/, recipes/<hash>.json, pins.json              other facts, by what they are about
 *     server.json                                                         whose store it is at this moment
 *     migration.json                                                      which embedded store was moved here
 */
import { createHash } from 'node:crypto'
import { algorithmOf, type Digest, hexOf, isDigest } from '../../oci/digest.ts'
import type { Proof } from '../../ports/journal.ts'

export const BLOBS = 'blobs/'
export const SIDECARS = 'sidecars/'
export const PROOFS = 'proofs/'
export const FORGOTTEN = 'forgotten/'
export const PLATFORMS = 'platforms/'
export const RECIPES = 'recipes/'
export const PINS = 'pins.json'
export const SERVER = 'server.json'
export const MIGRATION = 'migration.json'

const JSON_END = '.json'

/** No name of a repository has such a part, so that `a` may stand beside `a/b`. */
const LEAF = '-'

export function blobKey(digest: Digest): string {
  return `${BLOBS}${pathOf(digest)}`
}

export function sidecarKey(digest: Digest): string {
  return `${SIDECARS}${pathOf(digest)}${JSON_END}`
}

/** `undefined`: not ours. */
export function blobIn(key: string): Digest | undefined {
  return digestIn(key.slice(BLOBS.length))
}

export function sidecarIn(key: string): Digest | undefined {
  if (!key.endsWith(JSON_END)) return undefined
  return digestIn(key.slice(SIDECARS.length, -JSON_END.length))
}

/** Below it lie all proofs of one blob. */
export function proofsUnder(digest: Digest): string {
  return `${PROOFS}${pathOf(digest)}/`
}

export function proofKey({ upstream, name, digest, size, standing, role }: Proof): string {
  const what = `${standing}-${role ?? 'blob'}-${size}`
  return `${proofsUnder(digest)}${what}/${encodeURIComponent(upstream)}/${name}/${LEAF}`
}

const PROOF = /^([a-z0-9]+)\/([a-f0-9]+)\/(proven|made)-(blob|config)-(\d{1,16})\/([^/]+)\/(.+)\/-$/

export function proofIn(key: string): Proof | undefined {
  const [, algorithm, hex, standing, role, size, upstream = '', name] =
    PROOF.exec(key.slice(PROOFS.length)) ?? []
  const digest = digestIn(`${algorithm}/${hex}`)
  if (digest === undefined || name === undefined) return undefined
  return {
    ...{ upstream: decodeURIComponent(upstream), name, digest, size: Number(size) },
    standing: standing === 'made' ? 'made' : 'proven',
    ...(role === 'config' && { role }),
  }
}

/** Of a fact that changes: `about` is what stays. */
export function factKey(under: string, ...about: readonly string[]): string {
  const hash = createHash('sha256').update(JSON.stringify(about)).digest('hex')
  return `${under}${hash}${JSON_END}`
}

function pathOf(digest: Digest): string {
  return `${algorithmOf(digest)}/${hexOf(digest)}`
}

function digestIn(path: string): Digest | undefined {
  const digest = path.replace('/', ':')
  return isDigest(digest) ? digest : undefined
}
