/** Lists of very many numbers that grow: some bytes each, in one piece of memory that the garbage collector never walks through. */

type Numbers = Uint8Array | Uint32Array | Int32Array | Float64Array

const FIRST_ROOM = 64

/** How much more room there is each time: half as much again, since the old and the new are there for a moment. */
const GROWTH = 1.5

export class NumberList<N extends Numbers> {
  readonly #make: (length: number) => N
  #numbers: N
  #length = 0

  private constructor(make: (length: number) => N) {
    this.#make = make
    this.#numbers = make(FIRST_ROOM)
  }

  /** Of 0 to 255. */
  static bytes(): NumberList<Uint8Array> {
    return new NumberList((length) => new Uint8Array(length))
  }

  /** Of 0 to 2^32 - 1. */
  static words(): NumberList<Uint32Array> {
    return new NumberList((length) => new Uint32Array(length))
  }

  /** Of -2^31 to 2^31 - 1. */
  static integers(): NumberList<Int32Array> {
    return new NumberList((length) => new Int32Array(length))
  }

  /** Of any numbers. */
  static numbers(): NumberList<Float64Array> {
    return new NumberList((length) => new Float64Array(length))
  }

  get length(): number {
    return this.#length
  }

  push(value: number): void {
    if (this.#length === this.#numbers.length) {
      const larger = this.#make(Math.ceil(this.#length * GROWTH))
      larger.set(this.#numbers)
      this.#numbers = larger
    }
    this.#numbers[this.#length] = value
    this.#length += 1
  }

  /** 0 where there is none. */
  at(index: number): number {
    return index < this.#length ? (this.#numbers[index] ?? 0) : 0
  }

  /** Of one that there is. */
  set(index: number, value: number): void {
    this.#numbers[index] = value
  }
}
