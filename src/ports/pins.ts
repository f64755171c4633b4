/** The port for names that are never evicted, as types only; its adapter lies in store/. */
import type { Repository } from '../oci/repository.ts'

/** A name whose image stays, whatever the budget says. */
export interface Pin extends Repository {
  /** A tag, suffix included, or a digest. */
  readonly reference: string
}

export interface Pins {
  /** In the order in which they were pinned. */
  list(): Promise<readonly Pin[]>
  /** Durable when it resolves. */
  add(pin: Pin): Promise<void>
  /** True when it was pinned. */
  remove(pin: Pin): Promise<boolean>
}

export function isSamePin(a: Pin, b: Pin): boolean {
  return a.upstream === b.upstream && a.name === b.name && a.reference === b.reference
}
