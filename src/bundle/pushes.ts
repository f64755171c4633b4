/** Copies what was collected to another registry: blobs side by side, manifests from the leaves up, the tag last. */
import type { Pulls } from '../convert/pulls.ts'
import type { ByteStream } from '../lib/streams.ts'
import type { Digest } from '../oci/digest.ts'
import { childrenOf } from '../oci/outline.ts'
import { referrersTag } from '../oci/reference.ts'
import type { BlobStat } from '../ports/blobs.ts'
import type { RawManifest } from '../ports/upstream.ts'
import { blobUnknown } from '../pull/blobs.ts'
import type { Cargo, CargoBlob, CargoManifest } from './cargo.ts'
import { addReferrer } from './referrers-index.ts'

/** A registry that may be pushed to. */
export interface PushTarget {
  /** The upstream that it is, where images may have come from. */
  readonly name: string
  hasBlob(repository: string, blob: BlobStat): Promise<boolean>
  manifest(repository: string, reference: string): Promise<Uint8Array | undefined>
  putBlob(
    repository: string,
    blob: BlobStat,
    read: (start: number) => ByteStream,
    from?: string,
  ): Promise<'mounted' | 'uploaded'>
  putManifest(repository: string, reference: string, raw: RawManifest): Promise<boolean>
}

export interface PushResult {
  readonly uploaded: number
  readonly mounted: number
  readonly reused: number
  /** Of blobs that were uploaded. */
  readonly bytes: number
}

/** Blobs sent at a time. */
const UPLOADS = 4

export class Pushes {
  readonly #pulls: Pulls
  readonly #target: PushTarget

  constructor(pulls: Pulls, target: PushTarget) {
    this.#pulls = pulls
    this.#target = target
  }

  /** `root` gets the tag; everything else goes by digest. */
  async push(
    cargo: Cargo,
    to: { readonly repository: string; readonly tag: string | undefined; readonly root: Digest },
  ): Promise<PushResult> {
    const sums = { uploaded: 0, mounted: 0, reused: 0, bytes: 0 }
    const queue = cargo.blobs.values()
    const worker = async () => {
      for (const blob of queue) await this.#pushBlob(to.repository, blob, sums)
    }
    await Promise.all(Array.from({ length: UPLOADS }, worker))
    const attached = new Set(cargo.attached)
    const images = cargo.manifests.filter((one) => !attached.has(one))
    for (const one of leavesFirst(images)) {
      const isRoot = one.raw.digest === to.root
      const reference = (isRoot ? to.tag : undefined) ?? one.raw.digest
      await this.#target.putManifest(to.repository, reference, one.raw)
    }
    for (const one of leavesFirst(cargo.manifests.filter((other) => attached.has(other)))) {
      await this.#attach(to.repository, one)
    }
    return sums
  }

  async #pushBlob(
    repository: string,
    blob: CargoBlob,
    sums: { uploaded: number; mounted: number; reused: number; bytes: number },
  ): Promise<void> {
    if (await this.#target.hasBlob(repository, blob)) {
      sums.reused += 1
      return
    }
    const done = await this.#target.putBlob(
      repository,
      blob,
      (start) => this.#read(blob, start),
      this.#neighbour(blob, repository),
    )
    if (done === 'mounted') sums.mounted += 1
    else {
      sums.uploaded += 1
      sums.bytes += blob.size
    }
  }

  /** Where the target registry itself may have the blob: it came from there, under another name. */
  #neighbour(blob: CargoBlob, repository: string): string | undefined {
    const { upstream, name } = blob.repository
    return upstream === this.#target.name && name !== repository ? name : undefined
  }

  async *#read(blob: CargoBlob, start: number): AsyncGenerator<Uint8Array> {
    const { repository, digest, size } = blob
    const opened = await this.#pulls.blob(repository, digest)
    if (opened === undefined) throw blobUnknown(repository, digest)
    yield* opened.read(start === 0 ? undefined : { start, end: size })
  }

  /** A signature or SBOM; a registry without the referrers API gets the index that lists it, too. */
  async #attach(repository: string, { raw, parsed, tags }: CargoManifest): Promise<void> {
    const [tag] = tags
    const isKnown = await this.#target.putManifest(repository, tag ?? raw.digest, raw)
    if (parsed.subject === undefined || isKnown) return
    const list = referrersTag(parsed.subject.digest)
    const before = await this.#target.manifest(repository, list)
    await this.#target.putManifest(repository, list, addReferrer(before, raw, parsed))
  }
}

/** Registries refuse an index whose children they do not have. */
function leavesFirst(manifests: readonly CargoManifest[]): readonly CargoManifest[] {
  const byDigest = new Map(manifests.map((one) => [one.raw.digest, one]))
  const ordered = new Set<CargoManifest>()
  const visit = (one: CargoManifest) => {
    for (const { digest } of childrenOf(one.parsed)) {
      const child = byDigest.get(digest)
      if (child !== undefined && !ordered.has(child)) visit(child)
    }
    ordered.add(one)
  }
  for (const one of manifests) visit(one)
  return [...ordered]
}
