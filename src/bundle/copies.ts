/** `copy`: one image, as it is or converted, with what refers to it, to another registry or into an OCI layout. */
import { unlessAborted, untilAborted } from '../lib/aborted.ts'
import type { Digest } from '../oci/digest.ts'
import { blobUnknown } from '../pull/blobs.ts'
import { Cargo } from './cargo.ts'
import { type FileEntry, smallFile } from './entry.ts'
import type { ExportDeps } from './exports.ts'
import type { ExportItem } from './export-task.ts'
import { blobPath } from './layout-files.ts'
import { addToLayout } from './layout-folder.ts'
import { rootsOf } from './manifesto.ts'
import { Pushes, type PushResult, type PushTarget } from './pushes.ts'
import { Referrers } from './referrers.ts'

export interface Copied {
  readonly digest: Digest
  readonly mediaType: string
  /** `Crossdock-Conversion`. */
  readonly conversion: string | undefined
  readonly warnings: readonly string[]
  /** Of a copy to a registry. */
  readonly pushed?: PushResult
}

export class Copies {
  readonly #deps: ExportDeps

  constructor(deps: ExportDeps) {
    this.#deps = deps
  }

  async toRegistry(
    item: ExportItem,
    target: PushTarget,
    to: { readonly repository: string; readonly tag: string | undefined },
    signal?: AbortSignal,
  ): Promise<Copied> {
    const { cargo, copied } = await unlessAborted(this.#collect(item), signal)
    const push = new Pushes(this.#deps.pulls, target).push(cargo, { ...to, root: copied.digest })
    const pushed = await unlessAborted(push, signal)
    return { ...copied, pushed }
  }

  /** `name`: what the layout calls it, a tag or a full name. */
  async toLayout(
    item: ExportItem,
    folder: string,
    name: string,
    signal?: AbortSignal,
  ): Promise<Copied> {
    const { cargo, copied, shipment } = await unlessAborted(this.#collect(item), signal)
    const roots = rootsOf(cargo, [{ ...shipment, name }], false)
    await addToLayout(folder, roots, this.#blobs(cargo, signal))
    return copied
  }

  async #collect(item: ExportItem) {
    const { digest, mediaType, conversion, warnings } = await this.#deps.staging.stage(item)
    const referrers = new Referrers(this.#deps)
    const cargo = new Cargo({ ...this.#deps, referrers })
    const { platforms, repository } = item
    const options = { platforms, withSources: false, withHistory: false }
    const shipment = await cargo.ship(repository, digest, options)
    const copied: Copied = {
      digest,
      mediaType,
      conversion,
      warnings: [...warnings, ...referrers.warnings],
    }
    return { cargo, copied, shipment }
  }

  async *#blobs(cargo: Cargo, signal?: AbortSignal): AsyncGenerator<FileEntry> {
    for (const { raw } of cargo.manifests) yield smallFile(blobPath(raw.digest), raw.bytes)
    for (const { repository, digest, size } of cargo.blobs) {
      const blob = await this.#deps.pulls.blob(repository, digest)
      if (blob === undefined) throw blobUnknown(repository, digest)
      yield {
        kind: 'file',
        name: blobPath(digest),
        size,
        read: () => untilAborted(blob.read(), signal),
      }
    }
  }
}
