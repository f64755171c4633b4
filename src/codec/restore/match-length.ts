/** How long two stretches of the same bytes are alike. */

/** Bytes that are alike from `a` and from `b`, which comes before it; none at or behind `end` of the later one count. */
export function matchLength(view: DataView, a: number, b: number, end: number): number {
  let at = a
  let from = b
  const last = end - 4
  while (at <= last) {
    const difference = view.getInt32(at, true) ^ view.getInt32(from, true)
    if (difference !== 0) return at - a + ((31 - Math.clz32(difference & -difference)) >> 3)
    at += 4
    from += 4
  }
  while (at < end && view.getUint8(at) === view.getUint8(from)) {
    at += 1
    from += 1
  }
  return at - a
}
