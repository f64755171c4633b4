/** What grows in this process, as far as another one that shares the store may follow it. */
import type { Waiter } from '../lib/interest.ts'
import type { PeerAsk, PeerBlob } from '../ports/peers.ts'
import type { Blobs } from '../pull/blobs.ts'

/** Waits for a download that is about to begin. `undefined`: there is none. */
export async function growingFor(
  { repository, digest, start, signal }: PeerAsk,
  blobs: Pick<Blobs, 'growing'>,
): Promise<PeerBlob | undefined> {
  const download = await blobs.growing(repository.upstream, digest)
  if (download === undefined || signal.aborted) return undefined
  const { blob, interest, admitted, kept } = download
  const gone = new AbortController()
  interest.add(elsewhere(AbortSignal.any([signal, gone.signal])))
  let isStored = false
  async function* body() {
    yield* blob.read({ start, end: Number.POSITIVE_INFINITY })
    // So that whoever follows need neither store it nor look whether it is.
    await kept
    isStored = true
  }
  return {
    size: blob.expected.size,
    isAdmitted: admitted.has(repository.name),
    body: body(),
    isStored: () => isStored,
    drop: () => gone.abort(),
  }
}

/** Those who wait at another process. */
function elsewhere(gone: AbortSignal): Waiter {
  return {
    client: undefined,
    whenGone: (listener) => gone.addEventListener('abort', listener, { once: true }),
  }
}
