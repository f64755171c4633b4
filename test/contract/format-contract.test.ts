import { gzip, none, zstd } from '../../src/format/recompressed.ts'
import { seededBytes, seededText } from '../helpers/bytes.ts'
import { testFormat } from './format-contract.ts'

/** Three pieces of 4 MiB and a bit, some of it incompressible; begins like a tar, so that plain layers are known again. */
const largeTar = Buffer.concat([
  Buffer.alloc(512),
  seededText(9 * 1024 * 1024, 'large'),
  seededBytes(3_333_333, 'large'),
  Buffer.alloc(1024),
])

testFormat(gzip, { largeTar, options: [{ level: 1 }, { level: 9 }] })
testFormat(zstd, { largeTar, options: [{ level: 1 }, { level: 9 }] })
testFormat(none, { largeTar })
