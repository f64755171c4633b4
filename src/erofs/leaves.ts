/** What lies in folders, by number: columns of some bytes each, since there may be millions of them. */
import { NumberList } from '../lib/number-list.ts'
import type { Attributes, ByteText } from './attributes.ts'

/** A place in `Leaves`. */
export type LeafNumber = number

export interface RegularFile {
  readonly kind: 'reg'
  readonly attributes: Attributes
  /** Bytes. */
  readonly size: number
  /** Where they are, as the writer numbers it. */
  readonly content: number
}

export interface Symlink {
  readonly kind: 'symlink'
  readonly attributes: Attributes
  readonly target: ByteText
}

export interface Device {
  readonly kind: 'char' | 'block'
  readonly attributes: Attributes
  readonly major: number
  readonly minor: number
}

export interface Pipe {
  readonly kind: 'fifo'
  readonly attributes: Attributes
}

/** What is no folder. */
export type Leaf = RegularFile | Symlink | Device | Pipe

const KINDS = ['reg', 'symlink', 'char', 'block', 'fifo'] as const satisfies readonly Leaf['kind'][]

export class Leaves {
  readonly #kinds = NumberList.bytes()
  /** Places in `#known`. */
  readonly #attributes = NumberList.words()
  readonly #known: Attributes[] = []
  readonly #targets: ByteText[] = []
  /** By the kind: bytes of a file, a device's major number. */
  readonly #sizes = NumberList.numbers()
  /** By the kind: a file's content, a device's minor number, the place of a symlink's target. */
  readonly #details = NumberList.words()

  get count(): number {
    return this.#kinds.length
  }

  /** Attributes are shared by leaves that follow one another with the same object. */
  add(leaf: Leaf): LeafNumber {
    this.#kinds.push(KINDS.indexOf(leaf.kind))
    if (this.#known.at(-1) !== leaf.attributes) this.#known.push(leaf.attributes)
    this.#attributes.push(this.#known.length - 1)
    switch (leaf.kind) {
      case 'reg':
        this.#detail(leaf.size, leaf.content)
        break
      case 'symlink':
        this.#detail(0, this.#targets.push(leaf.target) - 1)
        break
      case 'fifo':
        this.#detail(0, 0)
        break
      default:
        this.#detail(leaf.major, leaf.minor)
    }
    return this.count - 1
  }

  /** Throws RangeError for a number that none has. */
  get(leaf: LeafNumber): Leaf {
    const kind = this.kindOf(leaf)
    const attributes = this.#known[this.#attributes.at(leaf)]
    if (attributes === undefined) throw unknown(leaf)
    const detail = this.#details.at(leaf)
    switch (kind) {
      case 'reg':
        return { kind, attributes, size: this.#sizes.at(leaf), content: detail }
      case 'symlink':
        return { kind, attributes, target: this.#targets[detail] ?? '' }
      case 'fifo':
        return { kind, attributes }
      default:
        return { kind, attributes, major: this.#sizes.at(leaf), minor: detail }
    }
  }

  kindOf(leaf: LeafNumber): Leaf['kind'] {
    const kind = leaf < this.count ? KINDS[this.#kinds.at(leaf)] : undefined
    if (kind === undefined) throw unknown(leaf)
    return kind
  }

  #detail(size: number, detail: number): void {
    this.#sizes.push(size)
    this.#details.push(detail)
  }
}

function unknown(leaf: LeafNumber): RangeError {
  return new RangeError(`no leaf ${leaf}`)
}
