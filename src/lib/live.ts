/** Values that may be replaced while others hold on to them. */

/**
 * An object with the keys of what `read` gives, each of which is read anew whenever somebody asks for it: whoever holds it has the
 * values of now, and whoever has copied one keeps that. The keys themselves stay those of the first time.
 */
export function live<T extends object>(read: () => T): T {
  const view: Partial<T> = {}
  for (const key of keysOf(read())) {
    Object.defineProperty(view, key, { enumerable: true, get: () => read()[key] })
  }
  // Every key of T has just got its getter.
  return view as T
}

function keysOf<T extends object>(object: T): readonly (keyof T)[] {
  return Object.keys(object) as (keyof T)[]
}
