/** Whether a server keeps to what the store relies on beyond reading and writing: writes on a condition (ADR 33). */
import { randomUUID } from 'node:crypto'
import { CrossdockError } from '../../errors.ts'
import type { Objects } from './objects.ts'
import { nameOf } from './place.ts'

/** Throws where a condition is ignored: changes of two processes would get lost without anybody noticing. */
export async function checkSemantics(
  objects: Pick<Objects, 'place' | 'put' | 'text' | 'delete'>,
): Promise<void> {
  const key = `probes/${randomUUID()}`
  try {
    await tryConditions(objects, key)
  } catch (error) {
    // Who may not write may not delete, either: the first failure says what is wrong.
    await objects.delete(key).catch(() => undefined)
    throw error
  }
  await objects.delete(key)
}

async function tryConditions(
  objects: Pick<Objects, 'place' | 'put' | 'text'>,
  key: string,
): Promise<void> {
  const isNew = await objects.put(key, '1', { kind: 'absent' })
  const isOverwritten = await objects.put(key, '2', { kind: 'absent' })
  const first = await objects.text(key)
  const changed = await objects.put(key, '3', { kind: 'unchanged', etag: first?.etag ?? '' })
  const isStale = await objects.put(key, '4', { kind: 'unchanged', etag: first?.etag ?? '' })
  const last = await objects.text(key)
  if (isNew && !isOverwritten && first?.text === '1' && changed && !isStale && last?.text === '3')
    return
  throw new CrossdockError(
    'refused',
    `what serves ${nameOf(objects.place)} ignores conditions of writes (If-None-Match: *, If-Match), without which changes get lost; use a server that knows them: Amazon S3, SeaweedFS, versitygw, MinIO or Ceph of today`,
    { reason: 's3-unconditional' },
  )
}
