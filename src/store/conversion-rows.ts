/** What a row of a catalog says of a conversion, whatever database the catalog lies in. */
import type { ConvertedImage, KnownLayer } from '../ports/conversions.ts'
import { layerOf, madeOf, type RecordedLayer } from '../recorded.ts'
import type { Columns } from './column-values.ts'

/** `undefined`: its options are none. */
export function layerInRow(row: Columns): KnownLayer | undefined {
  return layerOf({
    source: row.digest('source'),
    encoding: row.text('encoding'),
    options: row.text('options'),
    revision: row.number('revision'),
    target: row.digest('target'),
    size: row.number('size'),
    diffId: row.digest('diff_id'),
    uncompressedSize: row.number('uncompressed_size'),
    facts: JSON.parse(row.text('facts')) as RecordedLayer['facts'],
    ...(!row.isNull('fallback') && { fallback: row.text('fallback') }),
  })
}

/** `undefined`: its recipe is none. */
export function imageInRow(row: Columns): ConvertedImage | undefined {
  return madeOf({
    repository: { upstream: row.text('upstream'), name: row.text('name') },
    source: row.digest('source'),
    recipe: row.text('recipe'),
    target: row.digest('target'),
    size: row.number('size'),
    mediaType: row.text('media_type'),
    profile: row.text('profile'),
    layers: JSON.parse(row.text('layers')) as RecordedLayer[],
    outputs: JSON.parse(row.text('outputs')) as ConvertedImage['outputs'],
    convertedAt: row.number('converted_at'),
    seconds: row.number('seconds'),
  })
}
