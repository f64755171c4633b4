/** Hard links of a layer whose targets it does not hold: they are in the layers below, or nowhere. */
import type { ByteText } from '../../erofs/attributes.ts'

export class LowerLinks {
  readonly #targets = new Map<ByteText, ByteText>()

  get all(): ReadonlyMap<ByteText, ByteText> {
    return this.#targets
  }

  add(path: ByteText, target: ByteText): void {
    this.#targets.set(path, this.#targets.get(target) ?? target)
  }

  /** Drops what was at a path, and below it. */
  forget(path: ByteText): void {
    if (this.#targets.size === 0) return
    this.#targets.delete(path)
    for (const one of this.#targets.keys())
      if (one.startsWith(`${path}/`)) this.#targets.delete(one)
  }
}
