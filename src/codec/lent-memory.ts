/**
 * Memory of large pieces, given back as soon as nobody needs it: else every few of them make V8 mark its whole heap to find
 * out.
 */
const lent = new WeakSet<ArrayBufferLike>()

/** Says that whoever reads these bytes is the only one who has their memory. */
export function lend(bytes: Uint8Array): Uint8Array {
  lent.add(bytes.buffer)
  return bytes
}

/** Frees bytes that are the whole of some lent memory, and no others; they cannot be read any more. */
export function giveBack({ buffer, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && byteLength === buffer.byteLength && lent.delete(buffer)) {
    buffer.transfer(0)
  }
}

/**
 * Gives back the memory of a stream that is read in small parts. One stream only: who lends it may still write to the last memory,
 * and has done so with those before.
 */
export class PassingMemory {
  #last: ArrayBuffer | undefined

  /** Nobody needs these bytes any more, nor any that came before them. */
  passed({ buffer }: Uint8Array): void {
    if (buffer === this.#last || !(buffer instanceof ArrayBuffer) || !lent.has(buffer)) return
    if (this.#last !== undefined) giveBack(new Uint8Array(this.#last))
    this.#last = buffer
  }
}
