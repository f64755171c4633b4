/** Blobs, sidecars and journal in the data folder. */
import { join } from 'node:path'
import { DiskSpace } from './disk-space.ts'
import { FileReader } from './file-bytes.ts'
import { FsBlobs } from './fs-blobs.ts'
import { FsJournal } from './fs-journal.ts'
import type { BlobsHalf, LocalParts } from './halves.ts'
import { makeFolder } from './layout.ts'
import { FileLock } from './lock.ts'
import { FsSidecars } from './sidecars.ts'
import { Spool } from './spool.ts'
import { readDocument } from './stored-documents.ts'

export async function openDiskHalf({
  layout,
  temp,
  monotonic,
  writers,
}: LocalParts): Promise<BlobsHalf> {
  await makeFolder(layout.blobs)
  await makeFolder(layout.sidecars)
  const lock = new FileLock(join(layout.locks, 'sidecars'))
  const reader = new FileReader()
  const spool = new Spool(temp, DiskSpace.of(layout.data, monotonic, writers), reader)
  return {
    blobs: new FsBlobs(layout, spool, reader),
    sidecars: new FsSidecars(layout, temp, lock),
    journal: new FsJournal(layout),
    readDocument: (digest) => readDocument(layout, digest),
    // The catalog's check looks at the folder.
    check: async () => undefined,
    async [Symbol.asyncDispose]() {
      lock.close()
    },
  }
}
