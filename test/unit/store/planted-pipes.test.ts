/** A pipe in place of a file of the store: whoever opens it as a file waits for its writer in one of libuv's few threads. */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { systemClock } from '../../../src/clock.ts'
import { digestOf } from '../../../src/oci/digest.ts'
import { layoutOf } from '../../../src/store/layout.ts'
import { openStore } from '../../../src/store/open.ts'
import { readDocument } from '../../../src/store/stored-documents.ts'

const REPOSITORY = { upstream: 'origin', name: 'app' }
const digest = digestOf(Buffer.from('a manifest'))

test('is waited for by nobody who reads a manifest, a sidecar, or what the catalog is made from', async () => {
  const data = await mkdtemp(join(tmpdir(), 'crossdock-pipes-'))
  const layout = layoutOf(data)
  const paths = [layout.blob(digest), layout.sidecar(digest), layout.proofs(digest)]
  try {
    for (const path of paths) {
      await mkdir(dirname(path), { recursive: true })
      await promisify(execFile)('mkfifo', [path])
    }

    expect(await readDocument(layout, digest)).toBeUndefined()
    {
      await using store = await openStore({ data, clock: systemClock })
      expect(await store.blobs.stat(digest)).toBeUndefined()
      await expect(store.sidecars.read(digest)).resolves.toBeUndefined()
      expect(await store.catalog.links.find(REPOSITORY, digest)).toBeUndefined()
    }
  } finally {
    await rm(data, { recursive: true, force: true })
  }
}, 10_000)
