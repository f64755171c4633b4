/** Everything below a manifest, in document order, within the bounds of a walk and without recursion. */
import { Walk } from '../lib/walk.ts'
import type { Descriptor } from '../oci/manifest.ts'
import { childrenOf, type Outline } from '../oci/outline.ts'
import type { RawManifest } from '../ports/upstream.ts'

export interface Visit {
  readonly raw: RawManifest
  readonly manifest: Outline
  /** As the index that led here first names it; `undefined`: the root. */
  readonly descriptor: Descriptor | undefined
}

export interface WalkOptions {
  readonly outline: (raw: RawManifest) => Outline
  /** Asked once for each child; `undefined`: it is passed over. */
  readonly load: (child: Descriptor) => Promise<RawManifest | undefined>
  /** Which children are followed; default: all. */
  readonly follows?: (child: Descriptor) => boolean
  /** What becomes of a walk that has no end: `refuse` throws, `stop` leaves the rest out. */
  readonly beyond: 'refuse' | 'stop'
}

/** The root first, every index before what it names, each digest once. */
export async function* walkManifests(
  root: RawManifest,
  { outline, load, follows = () => true, beyond }: WalkOptions,
): AsyncGenerator<Visit> {
  const walk = new Walk(`manifest ${root.digest}`)
  await walk.enter(root.digest)
  let visit: Visit = { raw: root, manifest: outline(root), descriptor: undefined }
  yield visit
  // Iterators and no list: it grows with the depth alone.
  const open = [childrenOf(visit.manifest).values()]
  for (let children = open.at(-1); children !== undefined; children = open.at(-1)) {
    const { value: child } = children.next()
    if (child === undefined) {
      open.pop()
      continue
    }
    if (!follows(child)) continue
    if (beyond === 'stop' && walk.isFull) return
    if (!(await walk.enter(child.digest))) continue
    const raw = await load(child)
    if (raw === undefined) continue
    if (beyond === 'refuse') walk.weigh(raw.bytes.byteLength)
    visit = { raw, manifest: outline(raw), descriptor: child }
    yield visit
    open.push(childrenOf(visit.manifest).values())
  }
}
