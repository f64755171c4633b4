/** How far the writing of a bundle is, by image: behind a strong compression that takes far longer than all before. */
import { basename } from 'node:path'
import type { Job, LayerProgress, Progress } from '../convert/progress.ts'
import type { ByteStream } from '../lib/streams.ts'
import type { Digest } from '../oci/digest.ts'
import { blobsOf } from '../oci/outline.ts'
import type { ExportedImage } from './bundle-names.ts'
import type { ExportTarget } from './export-task.ts'
import type { Manifesto } from './manifesto.ts'
import { OUTER_LEVELS, type OuterOptions } from './outer-compression.ts'

/** What belongs to no single image. */
const REST = 'documents, sources, signatures'

export class OutputProgress {
  readonly #progress: Progress
  readonly #job: Job
  /** By digest: the image that a blob counts for, the first that has it. */
  readonly #rows = new Map<Digest, LayerProgress>()

  constructor(
    progress: Progress,
    target: ExportTarget,
    images: readonly ExportedImage[],
    { content }: Manifesto,
  ) {
    this.#progress = progress
    const how = target.kind === 'folder' ? target.kind : describeOuter(target.outer)
    this.#job = progress.begin(basename(target.path), how)
    const sizes = new Map(content.map(({ digest, size }) => [digest, size]))
    const rows = images.map(({ reference, root, images: members }) =>
      this.#row(
        reference,
        root.digest,
        members.flatMap(({ manifest }) => blobsOf(manifest).map(({ digest }) => digest)),
        sizes,
      ),
    )
    const [first] = sizes.keys()
    if (first !== undefined) rows.push(this.#row(REST, first, [...sizes.keys()], sizes))
    this.#job.layers = rows.filter(({ size }) => size > 0)
    this.#job.blobs = content.length
    // xz takes in a block at a time, and works on it for seconds.
    if (target.kind === 'archive' && target.outer.compression === 'xz') this.#job.isBursty = true
    this.#job.state = 'converting'
    progress.changed(this.#job)
  }

  /** Counts a blob's bytes while they pass. */
  async *watch(digest: Digest, bytes: ByteStream): AsyncGenerator<Uint8Array> {
    const row = this.#rows.get(digest)
    for await (const chunk of bytes) {
      yield chunk
      if (row === undefined) continue
      row.received += chunk.byteLength
      row.stage = row.received >= row.size ? 'done' : 'storing'
    }
  }

  end(): void {
    this.#progress.end(this.#job, 'done')
  }

  fail(error: unknown): void {
    this.#progress.end(this.#job, 'failed', error instanceof Error ? error.message : String(error))
  }

  /** Takes of the blobs those that count for no other row yet. */
  #row(
    label: string,
    digest: Digest,
    blobs: readonly Digest[],
    sizes: ReadonlyMap<Digest, number>,
  ): LayerProgress {
    const own = [...new Set(blobs)].filter((blob) => sizes.has(blob) && !this.#rows.has(blob))
    const size = own.reduce((sum, blob) => sum + (sizes.get(blob) ?? 0), 0)
    const row: LayerProgress = { label, digest, size, stage: 'waiting', received: 0, written: 0 }
    for (const blob of own) this.#rows.set(blob, row)
    return row
  }
}

function describeOuter({ compression, level }: OuterOptions): string {
  if (compression === 'none') return 'tar'
  return `${compression}, level ${level ?? OUTER_LEVELS[compression].default}`
}
