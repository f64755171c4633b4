/** Empty blocks that Go's compress/flate (up to 1.26) writes where it is flushed, and at the end. */
import type { Chunk, EmptyBlock } from '../model.ts'

export function emptyStored({ ending }: Chunk): readonly EmptyBlock[] {
  return ending === 'chunk' ? [] : [{ type: 'stored', isFinal: ending === 'member' }]
}
