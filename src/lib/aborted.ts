/** Waiting that ends when nobody wants the result any more; the work itself may go on. */
import type { ByteStream } from './streams.ts'

/** The result of `work`, unless `signal` comes first: then its reason is thrown. */
export async function unlessAborted<T>(work: Promise<T>, signal?: AbortSignal): Promise<T> {
  if (signal === undefined) return await work
  work.catch(() => undefined)
  const aborted = Promise.withResolvers<never>()
  const stop = () => aborted.reject(signal.reason)
  signal.addEventListener('abort', stop, { once: true })
  try {
    signal.throwIfAborted()
    return await Promise.race([work, aborted.promise])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

/** The bytes, up to the moment when nobody wants them any more. */
export async function* untilAborted(
  bytes: ByteStream,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of bytes) {
    signal?.throwIfAborted()
    yield chunk
  }
}
