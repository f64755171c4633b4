/** Writes the header of a plain file or folder: name, mode and size, everything else zero (our formats' own files need no more). */
import { BLOCK_SIZE } from './block.ts'

/** Throws RangeError for a name above 100 bytes or a size above 8 GiB. */
export function fileHeader(name: string, size: number): Uint8Array {
  return plainHeader({ name, type: 'reg', mode: 0, size })
}

export interface PlainEntry {
  readonly name: string
  readonly type: 'reg' | 'dir'
  readonly mode: number
  readonly size: number
}

/** The same for an entry with a mode. */
export function plainHeader({ name, type, mode, size }: PlainEntry): Uint8Array {
  const block = Buffer.alloc(BLOCK_SIZE)
  if (Buffer.byteLength(name) > 100 || size > 0o77777777777) {
    throw new RangeError(`a plain tar header cannot hold ${name} with ${size} bytes`)
  }
  block.write(name, 0)
  block.write(mode.toString(8).padStart(7, '0'), 100)
  for (const at of [108, 116]) block.write('0000000', at)
  block.write(size.toString(8).padStart(11, '0'), 124)
  block.write('00000000000', 136)
  block.write('        ', 148)
  block.write(type === 'dir' ? '5' : '0', 156)
  block.write('ustar\u000000', 257)
  for (const at of [329, 337]) block.write('0000000', at)
  let sum = 0
  for (const byte of block) sum += byte
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return block
}

/** How many zeros follow content of this size. */
export function paddingOf(size: number): number {
  return (BLOCK_SIZE - (size % BLOCK_SIZE)) % BLOCK_SIZE
}
