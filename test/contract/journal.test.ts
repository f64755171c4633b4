import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FsJournal } from '../../src/store/fs-journal.ts'
import { layoutOf } from '../../src/store/layout.ts'
import { MemoryJournal } from '../helpers/memory-journal.ts'
import { hasS3, s3Half } from '../helpers/s3-store.ts'
import { describeJournal } from './journal.ts'

describeJournal('on disk', async () => {
  const data = await mkdtemp(join(tmpdir(), 'crossdock-journal-'))
  return {
    journal: new FsJournal(layoutOf(data)),
    [Symbol.asyncDispose]: () => rm(data, { recursive: true, force: true }),
  }
})
describeJournal('in memory', async () => ({
  journal: new MemoryJournal(),
  async [Symbol.asyncDispose]() {},
}))
if (hasS3) describeJournal('on S3', () => s3Half())
