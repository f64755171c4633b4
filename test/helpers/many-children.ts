/** Indexes that lead to very much, and a watch over the health of who has to walk over them. */
import { digestOf } from '../../src/oci/digest.ts'
import { type FakeManifest, json } from './fake-image.ts'
import { ask } from './faults-http.ts'
import { OCI_INDEX } from './manifest-documents.ts'

/** Far beyond what walks take that visit everything once, and far below what those take that do not, ms. */
export const SOON_MS = 20_000

/** Of an event loop that is never kept for long, on a machine that has much to do, ms. */
export const HEALTHY_MS = 2_000

export function indexOf(children: readonly FakeManifest[]): FakeManifest {
  const manifests = children.map(({ mediaType, digest, bytes }) => ({
    mediaType,
    digest,
    size: bytes.byteLength,
  }))
  const bytes = json({ schemaVersion: 2, mediaType: OCI_INDEX, manifests })
  return { mediaType: OCI_INDEX, digest: digestOf(bytes), bytes }
}

/** What came of it within a time, and how long the slowest look at the health took meanwhile, ms. */
export async function besideHealth<T>(
  url: string,
  work: Promise<T>,
): Promise<readonly [T, number]> {
  const signal = AbortSignal.timeout(SOON_MS)
  let isDone = false
  const done = work.finally(() => {
    isDone = true
  })
  let slowest = 0
  const look = async () => {
    while (!isDone) {
      const began = performance.now()
      await ask(`${url}/healthz`, { signal })
      slowest = Math.max(slowest, performance.now() - began)
      signal.throwIfAborted()
    }
  }
  const [result] = await Promise.all([done, look()])
  return [result, slowest]
}
