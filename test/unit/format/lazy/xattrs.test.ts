import { expect, test } from 'vitest'
import { estargz } from '../../../../src/format/estargz.ts'
import { zstdchunked } from '../../../../src/format/zstd-chunked.ts'
import { openChunked, openEstargz } from '../../../helpers/lazy-blobs.ts'
import { encodeLazy } from '../../../helpers/lazy-encode.ts'
import { tarOf } from '../../../helpers/tars.ts'

/** T18: longer than Linux takes, more than anybody has, and no text. */
const XATTRS = new Map<string, Buffer>([
  ['user.long', Buffer.alloc(64 * 1024 + 1, 'x')],
  ['user.bytes', Buffer.of(0xff, 0, 0x0a, 0x3d)],
  ...Array.from({ length: 10_000 }, (_, i) => [`user.k${i}`, Buffer.from(`${i}`)] as const),
])

const tar = tarOf({
  name: 'f',
  pax: Object.fromEntries([...XATTRS].map(([name, value]) => [`SCHILY.xattr.${name}`, value])),
})

test.each([
  ['eStargz', estargz, openEstargz],
  ['zstd:chunked', zstdchunked, openChunked],
] as const)('the table of %s has every xattr as it was', async (_, format, open) => {
  const { bytes } = await encodeLazy(format, tar)
  const { toc } = await open(bytes)

  const entry = toc.entries.find(({ name }) => name === 'f')
  const found = Object.entries(entry?.xattrs ?? {})
  expect(found).toHaveLength(XATTRS.size)
  for (const [name, value] of found) {
    expect(XATTRS.get(name)?.equals(Buffer.from(value, 'base64')), name).toBe(true)
  }
})
