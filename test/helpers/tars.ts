/** Tars made block by block, right ones and wrong ones, so that tests decide every byte. */
import fc from 'fast-check'
import { seededBytes, seededText } from './bytes.ts'

export interface TarItem {
  readonly name: string
  /** Type flag; `0` is a regular file. */
  readonly type?: string
  readonly body?: Uint8Array
  /** What the header claims, when not the body's length. */
  readonly size?: number
  readonly mode?: number
  readonly uid?: number
  readonly mtime?: number
  readonly link?: string
  readonly owner?: string
  readonly device?: readonly [number, number]
  /** Records of an extended header in front. */
  readonly pax?: Readonly<Record<string, string | Uint8Array>>
  /** GNU long name and long link in front. */
  readonly longName?: string
  readonly longLink?: string
  /** Last changes to the header block, before its checksum. */
  readonly edit?: (block: Buffer) => void
}

export const END = Buffer.alloc(1024)

export function tarOf(...items: TarItem[]): Buffer {
  return Buffer.concat([...items.map(record), END])
}

/** One entry with all its blocks. */
export function record(item: TarItem): Buffer {
  const body = item.body ?? new Uint8Array(0)
  const parts: Buffer[] = []
  if (item.pax !== undefined) {
    parts.push(record({ name: 'PaxHeaders/x', type: 'x', body: paxBody(item.pax) }))
  }
  if (item.longName !== undefined) parts.push(long('L', item.longName))
  if (item.longLink !== undefined) parts.push(long('K', item.longLink))
  parts.push(header(item, body.byteLength), Buffer.from(body), Buffer.alloc(-body.byteLength & 511))
  return Buffer.concat(parts)
}

export function paxBody(records: Readonly<Record<string, string | Uint8Array>>): Buffer {
  return Buffer.concat(
    Object.entries(records).map(([key, value]) => {
      const rest = Buffer.concat([Buffer.from(` ${key}=`), Buffer.from(value), Buffer.from('\n')])
      let size = rest.length + 1
      while (String(size).length + rest.length !== size) size += 1
      return Buffer.concat([Buffer.from(String(size)), rest])
    }),
  )
}

function long(type: string, text: string): Buffer {
  return record({ name: '././@LongLink', type, body: Buffer.from(`${text}\0`) })
}

function header(item: TarItem, bodySize: number): Buffer {
  const block = Buffer.alloc(512)
  block.write(item.name, 0, 100, 'latin1')
  octal(block, 100, 7, item.mode ?? 0o644)
  octal(block, 108, 7, item.uid ?? 0)
  octal(block, 116, 7, item.uid ?? 0)
  octal(block, 124, 11, item.size ?? bodySize)
  octal(block, 136, 11, item.mtime ?? 1_700_000_000)
  block.write(item.type ?? '0', 156, 'latin1')
  block.write(item.link ?? '', 157, 100)
  block.write('ustar\u000000', 257)
  block.write(item.owner ?? '', 265, 32)
  if (item.device !== undefined) {
    octal(block, 329, 7, item.device[0])
    octal(block, 337, 7, item.device[1])
  }
  item.edit?.(block)
  return sealed(block)
}

function octal(block: Buffer, at: number, digits: number, value: number): void {
  block.write(value.toString(8).padStart(digits, '0'), at)
}

/** With the right checksum. */
export function sealed(block: Buffer): Buffer {
  block.fill(0x20, 148, 156)
  let sum = 0
  for (const byte of block) sum += byte
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return block
}

/** Big-endian two's complement with the mark of GNU's binary numbers. */
export function base256(block: Buffer, at: number, length: number, value: bigint): void {
  for (let i = 0; i < length; i += 1) {
    block[at + length - 1 - i] = Number((value >> BigInt(8 * i)) & 0xffn)
  }
  block[at] = ((block[at] ?? 0) & 0x7f) | 0x80
}

/** One of everything that all formats carry. */
export function richTar(): Buffer {
  const longPath = `${'deep/'.repeat(40)}file`
  return tarOf(
    { name: './', type: '5', mode: 0o755 },
    { name: 'etc/', type: '5', mode: 0o755, owner: 'root' },
    { name: 'etc/hello.txt', body: Buffer.from('hello, layer\n') },
    { name: 'etc/empty', mode: 0o600 },
    { name: 'bin/', type: '5', mtime: 0 },
    { name: 'bin/tool', body: seededText(9000, 'tool'), mode: 0o4755 },
    { name: 'bin/alias', type: '1', link: 'bin/tool' },
    { name: 'bin/alias2', type: '1', link: './bin/alias' },
    { name: 'bin/link', type: '2', link: '../etc/hello.txt' },
    { name: 'dev/null', type: '3', device: [1, 3] },
    { name: 'dev/disk', type: '4', device: [8, 1] },
    { name: 'run/pipe', type: '6' },
    {
      name: 'x',
      pax: {
        path: longPath,
        mtime: '1700000000.123456789',
        atime: '-1.25',
        'SCHILY.xattr.user.k': Buffer.from([0, 255, 10]),
      },
      body: Buffer.from('pax\n'),
    },
    { name: 'y', longName: `gnu/${'n'.repeat(150)}`, body: Buffer.from('gnu\n') },
    { name: 'z', type: '2', longLink: `../${'l'.repeat(150)}`, link: 'l' },
    { name: 'names/<&>"größe', pax: { path: 'names/<&>"größe' }, body: Buffer.from('utf-8\n') },
    {
      name: 'holes',
      body: Buffer.concat([
        seededBytes(3000, 'a'),
        Buffer.alloc(5000),
        seededBytes(3000, 'b'),
        Buffer.alloc(1023),
      ]),
    },
    { name: 'zeros', body: Buffer.alloc(20_000) },
    { name: 'large', body: seededBytes(700_000, 'large') },
    { name: 'etc/.wh.old' },
    { name: 'opt/.wh..wh..opq' },
  )
}

/** Any tars of files, folders, links and empty files, with distinct names. */
export const anyTar: fc.Arbitrary<Buffer> = fc
  .array(
    fc.record({
      type: fc.constantFrom('0', '0', '0', '5', '2', '1'),
      seed: fc.nat(99),
      size: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 3000 }), fc.constant(512)),
      kind: fc.constantFrom('ustar', 'pax', 'gnu'),
    }),
    { maxLength: 12 },
  )
  .map((specs) => {
    const items = specs.map(({ type, seed, size, kind }, i): TarItem => {
      const name = `d${i}/${kind === 'ustar' ? '' : 'long-'.repeat(30)}${seed}`
      return {
        name: name.slice(0, 100),
        type: type === '1' && i === 0 ? '0' : type,
        mtime: seed * 1000,
        ...(kind === 'pax' ? { pax: { path: name, mtime: `${seed}.5` } } : {}),
        ...(kind === 'gnu' ? { longName: name } : {}),
        ...(type === '0' ? { body: Buffer.alloc(size, seed % 3 === 0 ? 0 : seed) } : {}),
        ...(type === '1' ? { link: 'first' } : {}),
        ...(type === '2' ? { link: 'to' } : {}),
      }
    })
    return tarOf({ name: 'first', body: Buffer.from('1') }, ...items)
  })
