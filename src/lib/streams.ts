/** The one currency for bytes inside crossdock. Node and Web streams exist only at the edges. */
import { CrossdockError } from '../errors.ts'

export type ByteStream = AsyncIterable<Uint8Array>

/** All bytes of a short stream; throws `badSize` as soon as there are more than `maxBytes`. */
export async function collect(bytes: ByteStream, maxBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of bytes) {
    size += chunk.byteLength
    if (size > maxBytes) {
      throw new CrossdockError(
        'badSize',
        `more than ${maxBytes} bytes came where no more are accepted; check what the registry serves`,
        { reason: 'too-large' },
      )
    }
    chunks.push(chunk)
  }
  return join(chunks)
}

/** A stream of one chunk. */
export async function* streamOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.byteLength > 0) yield bytes
}

/** Pieces of exactly `size` bytes, the last one shorter; none for an empty stream. Same pieces for any chunking. */
export async function* inPieces(bytes: ByteStream, size: number): AsyncGenerator<Uint8Array> {
  let parts: Uint8Array[] = []
  let missing = size
  for await (const chunk of bytes) {
    let rest = chunk
    while (rest.byteLength >= missing) {
      parts.push(rest.subarray(0, missing))
      rest = rest.subarray(missing)
      const piece = join(parts)
      parts = []
      missing = size
      yield piece
    }
    if (rest.byteLength > 0) parts.push(rest)
    missing -= rest.byteLength
  }
  if (parts.length > 0) yield join(parts)
}

/** One array for many: a view where they lie side by side in one buffer, as a decoder's slices do, else a copy. */
export function join(parts: readonly Uint8Array[]): Uint8Array {
  const first = parts[0]
  if (first === undefined) return new Uint8Array(0)
  if (parts.length === 1) return first
  let size = 0
  let isRun = true
  for (const part of parts) {
    isRun &&= part.buffer === first.buffer && part.byteOffset === first.byteOffset + size
    size += part.byteLength
  }
  if (isRun) return new Uint8Array(first.buffer, first.byteOffset, size)
  const whole = Buffer.allocUnsafeSlow(size)
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.byteLength
  }
  return whole
}

/**
 * Looks at the first `size` bytes (fewer when the stream is shorter) without losing them. `rest` is the whole stream again;
 * read or close it, since the source stays open for it.
 */
export async function peek(
  bytes: ByteStream,
  size: number,
): Promise<{ readonly head: Uint8Array; readonly rest: AsyncGenerator<Uint8Array> }> {
  const iterator = bytes[Symbol.asyncIterator]()
  const seen: Uint8Array[] = []
  let missing = size
  while (missing > 0) {
    const step = await iterator.next()
    if (step.done) break
    seen.push(step.value)
    missing -= step.value.byteLength
  }
  const rest = resume(seen, iterator)
  // A generator that has not begun would not end its source when it is closed.
  await rest.next()
  return { head: join(seen).subarray(0, size), rest }
}

async function* resume(
  seen: readonly Uint8Array[],
  iterator: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  try {
    yield new Uint8Array(0)
    yield* seen
    for (let step = await iterator.next(); !step.done; step = await iterator.next()) {
      yield step.value
    }
  } finally {
    await iterator.return?.()
  }
}

/** The stream itself; throws `failure()` instead of the chunk that goes beyond `maxBytes`. */
export async function* limit(
  bytes: ByteStream,
  maxBytes: number,
  failure: () => Error,
): AsyncGenerator<Uint8Array> {
  let size = 0
  for await (const chunk of bytes) {
    size += chunk.byteLength
    if (size > maxBytes) throw failure()
    yield chunk
  }
}

/**
 * Maps up to `concurrency` items at a time and gives the results in order, pulling the source only while there is room.
 * A failure comes out in its place in the order. Returns what the source returned.
 */
export async function* mapOrdered<T, R, F = void>(
  source: AsyncIterable<T, F>,
  map: (item: T) => Promise<R>,
  concurrency: number,
): AsyncGenerator<R, F> {
  const iterator = source[Symbol.asyncIterator]()
  const running: Promise<R>[] = []
  let pull: Promise<void> | undefined
  let end: { readonly value: F } | undefined
  let failed = false
  const start = async () => {
    try {
      const step = await iterator.next()
      if (step.done) end = step
      else running.push(silenced(map(step.value)))
    } catch (error) {
      failed = true
      running.push(silenced(Promise.reject(error)))
    } finally {
      pull = undefined
    }
  }
  try {
    for (;;) {
      if (!end && !failed && !pull && running.length < concurrency) pull = start()
      const [head] = running
      if (head === undefined && pull === undefined && end !== undefined) return end.value
      if (pull !== undefined && (head === undefined || running.length < concurrency)) {
        const isDone = await Promise.race([pull, ...(head ? [head.then(isTrue, isTrue)] : [])])
        if (!isDone) continue
      }
      if (head === undefined) continue
      const result = await head
      running.shift()
      yield result
    }
  } finally {
    if (!end && !failed) await close(iterator, pull)
  }
}

const isTrue = () => true

function silenced<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined)
  return promise
}

/** Ends a source early; one that is just waiting for its own source is told to end when that has answered. */
export async function close(
  iterator: AsyncIterator<unknown, unknown>,
  pending?: Promise<unknown>,
): Promise<void> {
  const closed = iterator.return?.()
  if (pending === undefined) await closed
  else closed?.catch(() => undefined)
}
