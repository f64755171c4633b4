/** Reads RAFS v6 bootstraps and the blobs under them, as far as tests need it: the tree, with the bytes of its files. */
import { constants, inflateRawSync, zstdDecompressSync } from 'node:zlib'

export interface RafsFile {
  readonly path: string
  readonly nid: number
  readonly mode: string
  readonly owner: string
  readonly mtime: number
  readonly links: number
  readonly xattrs: Readonly<Record<string, string>>
  readonly target?: string
  readonly rdev?: number
  readonly content?: string
}

const PREFIXES = ['', 'user.', 'system.posix_acl_access', 'system.posix_acl_default', 'trusted.']
const u64 = (b: Buffer, at: number) => Number(b.readBigUInt64LE(at))

/** `blobs`: by hex digest. Paths are Latin-1, in the order of their bytes. */
export function listRafs(boot: Buffer, blobs: ReadonlyMap<string, Buffer>): RafsFile[] {
  const reader = new RafsReader(boot, blobs)
  return reader.walk('', boot.readUInt16LE(1038)).sort((a, b) => (a.path < b.path ? -1 : 1))
}

class RafsReader {
  readonly #boot: Buffer
  readonly #plain: readonly Map<number, Buffer>[]

  constructor(boot: Buffer, blobs: ReadonlyMap<string, Buffer>) {
    this.#boot = boot
    const table = boot.subarray(u64(boot, 1160), u64(boot, 1160) + boot.readUInt32LE(1168))
    this.#plain = Array.from({ length: table.length / 256 }, (_, i) =>
      readChunks(table.subarray(i * 256, (i + 1) * 256), blobs),
    )
  }

  walk(path: string, nid: number): RafsFile[] {
    const at = this.#boot.readUInt32LE(1064) * 4096 + nid * 32
    const inode = this.#boot.subarray(at)
    const format = inode.readUInt16LE(0)
    const xattrCount = inode.readUInt16LE(2)
    const size = u64(inode, 8)
    const union = inode.readUInt32LE(16)
    const bodyAt = 64 + (xattrCount === 0 ? 0 : 12 + 4 * (xattrCount - 1))
    const mode = inode.readUInt16LE(4)
    const file = {
      ...{
        path: path || '/',
        nid,
        mode: mode.toString(8),
        mtime: Number(inode.readBigInt64LE(32)),
      },
      owner: `${inode.readUInt32LE(24)}:${inode.readUInt32LE(28)}`,
      ...{ links: inode.readUInt32LE(44), xattrs: readXattrs(inode.subarray(64, bodyAt)) },
    }
    const data = () => this.#data(inode, format >> 1, size, union, bodyAt)
    switch (mode & 0o170000) {
      case 0o040000:
        return [file, ...this.#children(path, data())]
      case 0o120000:
        return [{ ...file, target: data().toString('latin1') }]
      case 0o100000:
        return [{ ...file, content: this.#content(inode, size, bodyAt) }]
      default:
        return [{ ...file, rdev: union }]
    }
  }

  #data(inode: Buffer, layout: number, size: number, union: number, bodyAt: number): Buffer {
    const tail = layout === 2 ? size % 4096 : 0
    const blocks = this.#boot.subarray(union * 4096, union * 4096 + size - tail)
    return Buffer.concat(
      [size === tail ? '' : blocks, inode.subarray(bodyAt, bodyAt + tail)].map(Buffer.from),
    )
  }

  #children(path: string, data: Buffer): RafsFile[] {
    const found: RafsFile[] = []
    for (let at = 0; at < data.length; at += 4096) {
      const block = data.subarray(at, at + 4096)
      const count = block.readUInt16LE(8) / 12
      for (let i = 0; i < count; i += 1) {
        const end = i + 1 < count ? block.readUInt16LE((i + 1) * 12 + 8) : block.length
        const name = block
          .toString('latin1', block.readUInt16LE(i * 12 + 8), end)
          .replace(/\0.*$/s, '')
        if (name !== '.' && name !== '..')
          found.push(...this.walk(`${path}/${name}`, u64(block, i * 12)))
      }
    }
    return found
  }

  #content(inode: Buffer, size: number, bodyAt: number): string {
    const indexes = Math.ceil(bodyAt / 8) * 8
    const parts: Buffer[] = []
    for (let left = size, at = indexes; left > 0; left -= parts.at(-1)?.length ?? left, at += 8) {
      const device = inode.readUInt16LE(at + 2)
      const chunk = this.#plain[(device & 0xff) - 1]?.get(inode.readUInt32LE(at + 4) * 4096)
      if (chunk === undefined) throw new Error('a chunk that no blob has')
      parts.push(chunk)
    }
    return Buffer.concat(parts).toString('latin1')
  }
}

/** Plain chunks by their plain offset. */
function readChunks(entry: Buffer, blobs: ReadonlyMap<string, Buffer>): Map<number, Buffer> {
  const id = entry.toString('latin1', 0, 64)
  const meta = entry.subarray(168, 200).toString('hex')
  const isZran = (entry.readUInt32LE(84) & 8) !== 0
  const data = blobs.get(id)
  const described = blobs.get(isZran ? meta : id)
  if (data === undefined || described === undefined) throw new Error(`no blob ${id}`)
  const stored = described.subarray(u64(entry, 112), u64(entry, 112) + u64(entry, 120))
  const infos = entry.readUInt32LE(108) === 3 ? zstdDecompressSync(stored) : stored
  const count = entry.readUInt32LE(72)
  return new Map(
    Array.from({ length: count }, (_, i) =>
      isZran
        ? zranChunk(infos, count, i, data)
        : nativeChunk(infos, i, data, entry.readUInt32LE(76)),
    ),
  )
}

function nativeChunk(infos: Buffer, i: number, data: Buffer, compressor: number): [number, Buffer] {
  const [a, b] = [infos.readBigUInt64LE(i * 16), infos.readBigUInt64LE(i * 16 + 8)]
  const size = Number((a >> 44n) | (((a >> 8n) & 15n) << 20n)) + 1
  const storedSize = Number((b >> 44n) | (((b >> 40n) & 15n) << 20n)) + 1
  const at = Number(b & 0xffffffffffn)
  const stored = data.subarray(at, at + storedSize)
  const plain = storedSize !== size && compressor === 3 ? zstdDecompressSync(stored) : stored
  if (plain.length !== size) throw new Error('a chunk of another size')
  return [Number(a & 0xfffffff000n), plain]
}

/**
 * As nydusd does: the slice alone, from its dictionary and the bits before its first byte. (Stored blocks would need those bits in
 * their old places, which node:zlib cannot give.)
 */
function zranChunk(infos: Buffer, count: number, i: number, data: Buffer): [number, Buffer] {
  const info = infos.subarray(i * 24)
  const size = (info.readUInt32LE(4) & 0xffffff) + 1
  const offset = info.readUInt32LE(16)
  const slice = sliceAt(infos, count, info.readUInt32LE(20), data)
  return [info.readUInt32LE(0) * 4096, slice.subarray(offset, offset + size)]
}

const slices = new WeakMap<Buffer, Map<number, Buffer>>()

function sliceAt(infos: Buffer, count: number, number: number, data: Buffer): Buffer {
  const known = slices.get(infos) ?? new Map<number, Buffer>()
  slices.set(infos, known)
  const plain = known.get(number) ?? readSlice(infos, count, number, data)
  known.set(number, plain)
  return plain
}

function readSlice(infos: Buffer, count: number, number: number, data: Buffer): Buffer {
  const context = infos.subarray(count * 24 + 40 * number)
  const at = count * 24 + 40 * countContexts(infos, count) + u64(context, 16)
  const dictionary = infos.subarray(at, at + context.readUInt32LE(32))
  const input = data.subarray(u64(context, 0), u64(context, 0) + context.readUInt32LE(24))
  const bits = context[37] ?? 0
  const shifted = bits === 0 ? input : shift((context[36] ?? 0) >> (8 - bits), bits, input)
  const plain = inflateRawSync(shifted, { dictionary, finishFlush: constants.Z_SYNC_FLUSH })
  const outSize = context.readUInt32LE(28)
  if (plain.length < outSize) throw new Error('a slice that gives too little')
  return plain.subarray(0, outSize)
}

/** Every context has a chunk. */
function countContexts(infos: Buffer, count: number): number {
  let contexts = 0
  for (let i = 0; i < count; i += 1)
    contexts = Math.max(contexts, infos.readUInt32LE(i * 24 + 20) + 1)
  return contexts
}

/** A stream of bits whose first ones are these. */
function shift(first: number, bits: number, input: Buffer): Buffer {
  const out = Buffer.alloc(input.length + 1)
  let carry = first
  for (const [i, byte] of input.entries()) {
    const value = carry | (byte << bits)
    out[i] = value & 0xff
    carry = value >> 8
  }
  out[input.length] = carry
  return out
}

function readXattrs(bytes: Buffer): Record<string, string> {
  const found: Record<string, string> = {}
  for (let at = 12; at < bytes.length; ) {
    const [nameSize = 0, prefix = 0] = bytes.subarray(at, at + 2)
    const valueSize = bytes.readUInt16LE(at + 2)
    const name =
      (PREFIXES[prefix] ?? 'security.') + bytes.toString('latin1', at + 4, at + 4 + nameSize)
    found[name] = bytes.toString('latin1', at + 4 + nameSize, at + 4 + nameSize + valueSize)
    at += Math.ceil((4 + nameSize + valueSize) / 4) * 4
  }
  return found
}
