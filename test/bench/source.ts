/** The image that the benchmarks work on, `node-app:1`, as files of the fixture layout. */
import { createReadStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LAYOUT, REGISTRY } from '../helpers/fixtures.ts'
import { mustRun } from '../helpers/fixtures-command.ts'
import { readConfig, readImage } from '../helpers/fixtures-registry.ts'

export const IMAGE = 'node-app:1'

export interface SourceLayer {
  readonly digest: string
  readonly diffId: string
  readonly file: string
  readonly size: number
}

export async function sourceLayers(): Promise<readonly SourceLayer[]> {
  const { document } = await readImage(`${REGISTRY}/${IMAGE}`)
  const { rootfs } = await readConfig(`${REGISTRY}/${IMAGE}`)
  return (document.layers ?? []).map((layer, i) => ({
    digest: layer.digest,
    diffId: rootfs.diff_ids[i] ?? '',
    file: join(LAYOUT, 'blobs', 'sha256', layer.digest.replace('sha256:', '')),
    size: layer.size,
  }))
}

export async function largestLayer(): Promise<SourceLayer> {
  const [largest] = (await sourceLayers()).toSorted((a, b) => b.size - a.size)
  if (largest === undefined) throw new Error(`${IMAGE} has no layers`)
  return largest
}

export function readFileBytes(file: string): AsyncIterable<Uint8Array> {
  return createReadStream(file, { highWaterMark: 256 * 1024 })
}

export interface Folder extends AsyncDisposable {
  readonly path: string
}

export async function openFolder(): Promise<Folder> {
  const path = await mkdtemp(join(tmpdir(), 'crossdock-bench-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}

/** A pipeline as a person would type it; the words are ours alone. */
export async function shell(line: string): Promise<void> {
  await mustRun('bash', ['-o', 'pipefail', '-c', line])
}
