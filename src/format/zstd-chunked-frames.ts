/** Frames of a zstd:chunked blob that are not content: metadata in skippable frames (RFC 8878, 3.1.2) and the footer. */
import { compressFrame } from '../codec/zstd-frame.ts'
import { type Digest, Hasher } from '../oci/digest.ts'

const SKIPPABLE_MAGIC = 0x184d2a50
const SKIPPABLE_HEADER = 8

/** Plain bytes of one frame of metadata; larger metadata is several frames in a row. */
const FRAME_SIZE = 4 * 1024 * 1024

export const FOOTER_SIZE = 40

/** stargz-snapshotter's footer ends so; podman's own ends in `GNUlInUx`, has other fields, and is read by nobody. */
const FOOTER_MAGIC = 'GnUlInUx'

/** "CRFS-like", the only kind of table there is. */
const TOC_TYPE = 1

/** Compressed metadata and what the annotations say of it. */
export interface Metadata {
  readonly frames: readonly Uint8Array[]
  /** Of the compressed bytes. */
  readonly digest: Digest
  readonly size: number
  readonly plainSize: number
}

/** Gathers metadata and compresses it as it comes, so that little of it is kept in plain. */
export class MetadataWriter {
  readonly #level: number
  readonly #frames: Promise<Uint8Array>[] = []
  #parts: Uint8Array[] = []
  #partsSize = 0
  #plainSize = 0

  constructor(level: number) {
    this.#level = level
  }

  /** Bytes so far. */
  get plainSize(): number {
    return this.#plainSize
  }

  add(bytes: Uint8Array): void {
    this.#parts.push(bytes)
    this.#partsSize += bytes.byteLength
    this.#plainSize += bytes.byteLength
    if (this.#partsSize >= FRAME_SIZE) this.#flush()
  }

  async finish(): Promise<Metadata> {
    this.#flush()
    const frames = await Promise.all(this.#frames)
    const hasher = new Hasher()
    for (const frame of frames) hasher.update(frame)
    const { size } = hasher
    return { frames, size, plainSize: this.#plainSize, digest: hasher.digest() }
  }

  #flush(): void {
    if (this.#partsSize === 0) return
    const bytes = Buffer.concat(this.#parts)
    this.#parts = []
    this.#partsSize = 0
    const previous = this.#frames.at(-1)
    const frame = Promise.resolve(previous).then(() => compressFrame(bytes, this.#level))
    frame.catch(() => undefined)
    this.#frames.push(frame)
  }
}

/** Where metadata lies in the blob, in the way of annotations: behind its frame's header. */
export interface Position {
  readonly offset: number
  readonly size: number
  readonly plainSize: number
}

/** The metadata in a skippable frame that begins at `at`. */
export function skippableFrame(
  metadata: Metadata,
  at: number,
): { readonly bytes: readonly Uint8Array[]; readonly position: Position; readonly end: number } {
  const { frames, size, plainSize } = metadata
  const offset = at + SKIPPABLE_HEADER
  return {
    bytes: [skippableHeader(size), ...frames],
    position: { offset, size, plainSize },
    end: offset + size,
  }
}

/** The last frame: four numbers and a magic, by which stargz-snapshotter finds the table. */
export function chunkedFooter(toc: Position): Uint8Array {
  const footer = Buffer.alloc(SKIPPABLE_HEADER + FOOTER_SIZE)
  footer.set(skippableHeader(FOOTER_SIZE))
  for (const [i, value] of [toc.offset, toc.size, toc.plainSize, TOC_TYPE].entries()) {
    footer.writeBigUInt64LE(BigInt(value), SKIPPABLE_HEADER + 8 * i)
  }
  footer.write(FOOTER_MAGIC, SKIPPABLE_HEADER + 32)
  return footer
}

function skippableHeader(size: number): Uint8Array {
  const header = Buffer.alloc(SKIPPABLE_HEADER)
  header.writeUInt32LE(SKIPPABLE_MAGIC, 0)
  header.writeUInt32LE(size, 4)
  return header
}
