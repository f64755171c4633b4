import { estargz } from '../../src/format/estargz.ts'
import { zstdchunked, zstdchunkedStargz } from '../../src/format/zstd-chunked.ts'
import { seededBytes, seededText } from '../helpers/bytes.ts'
import { anyTar, END, record, richTar } from '../helpers/tars.ts'
import { testFormat } from './format-contract.ts'

/** A file of several chunks, many small ones, and one of everything. */
const largeTar = Buffer.concat([
  record({ name: 'big', body: seededText(9_500_000, 'big') }),
  record({ name: 'noise', body: seededBytes(1_000_001, 'noise') }),
  ...Array.from({ length: 500 }, (_, i) =>
    record({ name: `small/${i}`, body: seededText(i * 7, String(i)) }),
  ),
  richTar(),
])

/** One file that does not end. */
const endlessHead = record({ name: 'endless', size: 2 ** 32 }).subarray(0, 512)

testFormat(estargz, {
  endlessHead,
  largeTar,
  tars: anyTar,
  empty: 'refuses',
  options: [{ level: 1, chunkSize: 100_000 }],
  unpacksTo: withoutAdditions,
})
testFormat(zstdchunked, {
  largeTar,
  endlessHead,
  tars: anyTar,
  empty: 'refuses',
  options: [{ level: 9 }],
})
testFormat(zstdchunkedStargz, { largeTar, endlessHead, tars: anyTar, empty: 'refuses' })

/** The decoded tar is the landmark, the source without its end, and the table: then it is what was expected. */
function withoutAdditions(tar: Uint8Array, decoded: Uint8Array): Uint8Array {
  const source = Buffer.from(tar).subarray(0, tar.byteLength - END.length)
  const landmark = decoded.subarray(0, 1024)
  const table = decoded.subarray(1024 + source.length)
  const isRight =
    Buffer.from(landmark).toString('latin1', 0, 21) === '.no.prefetch.landmark' &&
    source.equals(decoded.subarray(1024, 1024 + source.length)) &&
    Buffer.from(table).toString('latin1', 0, 18) === 'stargz.index.json\0' &&
    END.equals(decoded.subarray(-END.length))
  return isRight ? decoded : tar
}
