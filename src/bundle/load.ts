/** Pure: the blobs of a bundle in the order in which they lie in it. */
import type { Digest } from '../oci/digest.ts'
import type { Cargo, CargoBlob } from './cargo.ts'
import type { BundledBlob } from './description.ts'
import type { LayerTravel, SplitLayer } from './layer-travel.ts'

export type LoadedBlob =
  | CargoBlob
  | (BundledBlob & { readonly bytes: Uint8Array })
  /** What makes a layer again, out of its tar. */
  | (BundledBlob & { readonly correctionsOf: CargoBlob })
  /** What a layer unpacks to. */
  | (BundledBlob & { readonly tarOf: CargoBlob })

export interface Load {
  readonly content: readonly LoadedBlob[]
  /** What the far side has already. */
  readonly omitted: readonly BundledBlob[]
  /** Of the content: what nobody keeps once layers are rebuilt of it. */
  readonly materials: ReadonlySet<Digest>
}

/**
 * Manifests, then what rebuilds layers, then configs, layers and tars, each once; sorted so that no order of arguments shows.
 * `prior`: what the far side has.
 */
export function pack(
  cargo: Cargo,
  prior: ReadonlySet<Digest>,
  travels: ReadonlyMap<Digest, LayerTravel>,
): Load {
  const documents = new Map<Digest, LoadedBlob>()
  for (const { raw } of cargo.manifests) {
    const { digest, bytes } = raw
    documents.set(digest, { digest, size: bytes.byteLength, bytes })
  }
  const blobs = cargo.blobs.filter(({ digest }) => !documents.has(digest))
  const own = new Set([...documents.keys(), ...blobs.map(({ digest }) => digest)])
  const splits = blobs.flatMap(({ digest }) => {
    const travel = prior.has(digest) ? undefined : travels.get(digest)
    return travel?.travels === 'as-tar' ? [travel] : []
  })
  const split = new Set(splits.map(({ digest }) => digest))
  const corrections = unique(splits.map(correctionsOf))
  const tars = unique(splits.map(tarOf)).filter(({ digest }) => !own.has(digest))
  const ranks = rank(cargo, splits)
  const rankOf = ({ digest }: BundledBlob) => ranks.get(digest) ?? -1
  // Configs and documents first, so that readers know what is coming; then layers as images have them, since those look alike that
  // follow each other, and zstd looks back 128 MiB.
  const large = [...blobs.filter(({ digest }) => !split.has(digest)), ...tars].sort(
    (a, b) => rankOf(a) - rankOf(b) || a.size - b.size || compare(a, b),
  )
  const all = [...[...documents.values()].sort(compare), ...corrections.sort(compare), ...large]
  return {
    content: all.filter(({ digest }) => !prior.has(digest)),
    omitted: all
      .filter(({ digest }) => prior.has(digest))
      .map(({ digest, size }) => ({ digest, size })),
    materials: new Set([...corrections, ...tars].map(({ digest }) => digest)),
  }
}

/** Places of layers, and of the tars that stand for them, in the images: none for other blobs. */
function rank(cargo: Cargo, splits: readonly SplitLayer[]): ReadonlyMap<Digest, number> {
  const tars = new Map(splits.map(({ digest, tar }) => [digest, tar.digest]))
  const ranks = new Map<Digest, number>()
  for (const { parsed } of [...cargo.manifests].sort((a, b) => compare(a.raw, b.raw))) {
    if (parsed.kind !== 'image') continue
    for (const { digest } of parsed.layers) {
      const blob = tars.get(digest) ?? digest
      if (!ranks.has(blob)) ranks.set(blob, ranks.size)
    }
  }
  return ranks
}

function correctionsOf({ corrections, blob }: SplitLayer): LoadedBlob {
  return { ...corrections, correctionsOf: blob }
}

function tarOf({ tar, blob }: SplitLayer): LoadedBlob {
  return { ...tar, tarOf: blob }
}

function unique(blobs: readonly LoadedBlob[]): LoadedBlob[] {
  return [...new Map(blobs.map((blob) => [blob.digest, blob])).values()]
}

function compare(a: Pick<BundledBlob, 'digest'>, b: Pick<BundledBlob, 'digest'>): number {
  return a.digest < b.digest ? -1 : Number(a.digest > b.digest)
}
