/** A careful puller: reads an image down to its last byte and believes nothing that it has not hashed. */
import { createHash } from 'node:crypto'
import { type Descriptor, digestOf, readBlob, readManifest } from './fixtures-registry.ts'

export interface PullResult {
  readonly outcome: 'pulled' | 'refused' | 'poisoned'
  /** What was refused, or what was wrong although it came with an end. */
  readonly reason: string
  /** Digests of layers, pulled in full. */
  readonly layers: readonly string[]
}

export interface PullOptions {
  readonly headers?: Readonly<Record<string, string>>
  readonly timeoutMs?: number
}

const MAX_DEPTH = 20

/** Pulls `HOST:PORT/NAME:TAG`. Never throws: a broken connection is a refusal, wrong bytes with an orderly end are poison. */
export async function pullImage(image: string, options: PullOptions = {}): Promise<PullResult> {
  const layers: string[] = []
  const signal = AbortSignal.timeout(options.timeoutMs ?? 60_000)
  const ask = { headers: options.headers ?? {}, signal }
  const [, repository = ''] = /^(.*):[^:]*$/.exec(image) ?? []
  try {
    await pullManifest(image, 0)
    return { outcome: 'pulled', reason: '', layers }
  } catch (error) {
    if (error instanceof PoisonError) return { outcome: 'poisoned', reason: error.message, layers }
    return { outcome: 'refused', reason: describe(error), layers }
  }

  async function pullManifest(reference: string, depth: number): Promise<void> {
    if (depth > MAX_DEPTH) throw new Error('too deep')
    const answer = await readManifest(reference, ask)
    if (answer.status !== 200) throw new Error(`${answer.status} ${answer.bytes.subarray(0, 500)}`)
    const named = answer.headers.get('docker-content-digest')
    const wanted = /@(.*)$/.exec(reference)?.[1] ?? named ?? answer.digest
    if (answer.digest !== wanted || (named !== null && named !== wanted)) {
      throw new PoisonError(`${reference}: ${answer.digest} came as ${wanted}, ${named}`)
    }
    const { config, manifests = [], layers: described = [] } = answer.document
    for (const child of manifests) await pullManifest(`${repository}@${child.digest}`, depth + 1)
    if (config !== undefined) await pullBlob(config)
    for (const layer of described) layers.push(await pullBlob(layer))
  }

  async function pullBlob(descriptor: Descriptor): Promise<string> {
    const response = await readBlob(
      `${repository}@${digestOf(new Uint8Array())}`,
      descriptor.digest,
      ask,
    )
    if (response.status !== 200) {
      throw new Error(
        `${descriptor.digest}: ${response.status} ${(await response.text()).slice(0, 500)}`,
      )
    }
    const hash = createHash('sha256')
    let size = 0
    for await (const chunk of response.body ?? []) {
      hash.update(chunk)
      size += chunk.byteLength
    }
    const digest = `sha256:${hash.digest('hex')}`
    if (digest !== descriptor.digest || size !== descriptor.size) {
      throw new PoisonError(
        `${descriptor.digest} of ${descriptor.size} came as ${digest} of ${size}`,
      )
    }
    return digest
  }
}

class PoisonError extends Error {
  override readonly name = 'PoisonError'
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const cause = error.cause instanceof Error ? `: ${error.cause.message}` : ''
  return `${error.message}${cause}`
}
