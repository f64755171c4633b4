/** How objects are removed: only what was looked at, and only while whoever looked may still do so. */
import type { DeleteObjectCommand, S3Client } from '@aws-sdk/client-s3'
import type { MayGo } from '../../ports/blobs.ts'
import type { Signal } from './requests.ts'
import { statusOf } from './s3-failures.ts'
import type { Sdk } from './sdk.ts'

export interface Removal {
  /** Throws when the object is to stay after all; asked before each try, for the process may have stood still meanwhile. */
  readonly mayGo?: MayGo | undefined
  /** Another one than this stays, where the server knows conditions of DELETE; most that do not pass over them. */
  readonly etag?: string | undefined
}

/** What a server may answer that knows no such condition. */
const NOT_IMPLEMENTED = 501

/** Throws what S3 answers. */
export async function remove(
  sdk: Sdk,
  client: S3Client,
  at: { readonly Bucket: string; readonly Key: string },
  { mayGo, etag }: Removal,
  signal: Signal,
): Promise<void> {
  const send = async (IfMatch: string | undefined) => {
    const command = new sdk.DeleteObjectCommand({
      ...at,
      ...(IfMatch !== undefined && { IfMatch }),
    })
    if (mayGo !== undefined) guardTries(command, mayGo)
    await client.send(command, signal)
  }
  try {
    await send(etag)
  } catch (error) {
    if (etag === undefined || statusOf(error) !== NOT_IMPLEMENTED) throw error
    await send(undefined)
  }
}

/** Nothing is sent, the first time and after failures, before `mayGo` has returned. */
function guardTries(command: DeleteObjectCommand, mayGo: MayGo): void {
  command.middlewareStack.add(
    (next) => (args) => {
      mayGo()
      return next(args)
    },
    { step: 'finalizeRequest', priority: 'low', name: 'mayGo' },
  )
}
