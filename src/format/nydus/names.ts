/** Names of a layer's files: what fits, and what takes something away from the layers below (image-spec "layer.md#whiteouts"). */
import type { Attributes, ByteText } from '../../erofs/attributes.ts'
import { AmbiguousTarError } from '../../tar/entry.ts'
import { LayerRefusedError } from '../format.ts'

const WHITEOUT = '.wh.'
/** Takes away everything that the layers below have in this folder. */
export const OPAQUE = '.wh..wh..opq'

/** Of file systems. */
const MAX_NAME = 255

/** What a folder is like that nobody describes. */
export const IMPLIED: Attributes = {
  mode: 0o755,
  uid: 0,
  gid: 0,
  mtime: { seconds: 0, nanos: 0 },
  xattrs: new Map(),
}

/** True for whiteouts and for what AUFS left behind: names that no container sees. */
export function isWhiteout(name: ByteText): boolean {
  return name.startsWith(WHITEOUT)
}

/** What a whiteout of a single name takes away. */
export function hiddenName(name: ByteText): ByteText {
  return name.slice(WHITEOUT.length)
}

/** Throws LayerRefusedError for a name that is too long, AmbiguousTarError for a whiteout that every runtime refuses. */
export function checkName(name: ByteText): void {
  const max = isWhiteout(name) ? MAX_NAME + WHITEOUT.length : MAX_NAME
  if (name.length > max) throw new LayerRefusedError(`${shown(name)} is a name above ${max} bytes`)
  if (isWhiteout(name) && ['', '.', '..'].includes(hiddenName(name))) {
    throw new AmbiguousTarError(`${shown(name)} is a whiteout of nothing that can have a name`)
  }
}

/** A name or path in a message. */
export function shown(name: ByteText): string {
  return JSON.stringify(Buffer.from(name.slice(0, 200), 'latin1').toString('utf8'))
}
