/** What is said once of each thing, as far as memory goes. */
import { LRUCache } from 'lru-cache'

const REMEMBERED = 10_000

/** `tell` for each key that is new. */
export function toldOnce<T>(
  keyOf: (what: T) => string,
  tell: (what: T) => void,
): (what: T) => void {
  const told = new LRUCache<string, true>({ max: REMEMBERED })
  return (what) => {
    const key = keyOf(what)
    if (!told.has(key)) tell(what)
    told.set(key, true)
  }
}
