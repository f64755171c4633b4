/** The last member of an eStargz: empty, and its extra field says where the table of contents begins. */

export const FOOTER_SIZE = 51

/** FEXTRA, no time, system unknown; 26 bytes of extra field: `SG`, its length 22, then 16 hex digits and `STARGZ`. */
const HEAD = Buffer.from('1f8b08040000000000ff1a0053471600', 'hex')
const MAGIC = 'STARGZ'
/** An empty stored block, CRC and length of nothing. */
const TAIL = Buffer.from('010000ffff0000000000000000', 'hex')

export function estargzFooter(tocOffset: number): Uint8Array {
  const offset = tocOffset.toString(16).padStart(16, '0')
  return Buffer.concat([HEAD, Buffer.from(offset + MAGIC), TAIL])
}

/** Where the table begins; `undefined` when the bytes are not the last ones of an eStargz. */
export function parseEstargzFooter(last: Uint8Array): number | undefined {
  const footer = Buffer.from(last.subarray(-FOOTER_SIZE))
  const offset = footer.toString('latin1', HEAD.length, HEAD.length + 16)
  if (!/^[0-9a-f]{16}$/.test(offset)) return undefined
  const value = Number.parseInt(offset, 16)
  return Number.isSafeInteger(value) && footer.equals(estargzFooter(value)) ? value : undefined
}
