/** Attributes of a layer, shared by files that are alike. */
import type { Attributes } from '../../erofs/attributes.ts'
import { IMPLIED } from './names.ts'

/** One object for the attributes of nodes that follow one another and are alike, as those of many small files mostly are. */
export class SharedAttributes {
  #last = IMPLIED

  of(attributes: Attributes): Attributes {
    if (!isSame(attributes, this.#last)) this.#last = attributes
    return this.#last
  }
}

function isSame(a: Attributes, b: Attributes): boolean {
  return (
    a.mode === b.mode &&
    a.uid === b.uid &&
    a.gid === b.gid &&
    a.mtime.seconds === b.mtime.seconds &&
    a.mtime.nanos === b.mtime.nanos &&
    a.xattrs.size === 0 &&
    b.xattrs.size === 0
  )
}
