/**
 * How two processes of one store prove to each other that they are: by a key that each leaves in its leases, where only processes of
 * this store can read it.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'

const KEY_BYTES = 32
const NONCE_BYTES = 16

export function newKey(): string {
  return randomBytes(KEY_BYTES).toString('base64url')
}

export function newNonce(): string {
  return randomBytes(NONCE_BYTES).toString('base64url')
}

/** Over what is asked, and over what is answered to that. */
export function proofOf(key: string, ...texts: readonly string[]): string {
  return createHmac('sha256', key).update(texts.join('\n')).digest('base64url')
}

export function isProof(given: unknown, key: string, ...texts: readonly string[]): boolean {
  if (typeof given !== 'string') return false
  const [one, other] = [Buffer.from(given), Buffer.from(proofOf(key, ...texts))]
  return one.byteLength === other.byteLength && timingSafeEqual(one, other)
}
