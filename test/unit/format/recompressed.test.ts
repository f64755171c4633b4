import { describe, expect, it } from 'vitest'
import { gzip, none, zstd } from '../../../src/format/recompressed.ts'
import { encodeWith, sha256 } from '../../contract/format-contract.ts'
import { chunked, seededBytes, seededText } from '../../helpers/bytes.ts'

const OCI = 'application/vnd.oci.image.layer.v1.tar'
const DOCKER = 'application/vnd.docker.image.rootfs.diff.tar'

const tar = Buffer.concat([seededText(5_000_000, 'golden'), seededBytes(100_000, 'golden')])

describe('recompressed formats', () => {
  it.each([
    [gzip, [`${OCI}+gzip`, `${DOCKER}.gzip`], [OCI, DOCKER, `${OCI}+zstd`]],
    [zstd, [`${OCI}+zstd`], [OCI, DOCKER, `${OCI}+gzip`, `${DOCKER}.gzip`]],
    [none, [OCI, DOCKER], [`${OCI}+gzip`, `${DOCKER}.gzip`, `${OCI}+zstd`]],
  ])('keeps layers of their own compression: $name', (format, kept, converted) => {
    const keeps = (mediaType: string) =>
      format.keeps({ mediaType, digest: sha256(tar) as never, size: tar.length })
    expect(kept.map(keeps)).toEqual(kept.map(() => true))
    expect(converted.map(keeps)).toEqual(converted.map(() => false))
  })

  // When one of these changes, raise the format's revision: what is in stores was made with the old bytes.
  it.each([
    [
      gzip,
      { level: 1 },
      1,
      'sha256:e23ab2791787661f40401e1c59b540d2bd7d4b8d83c6222c7019cada65d2d9f6',
    ],
    [
      gzip,
      { level: 6 },
      1,
      'sha256:d98fb611f8f5b681787e7ae1dffe27874537960207fa1c85e83aad944bcbd1fb',
    ],
    [
      gzip,
      { level: 9 },
      1,
      'sha256:c98c47491a5982aeccedc8afc2f3133bbbecb2aa4bfe616661013f7eb51aa143',
    ],
    [
      zstd,
      { level: 1 },
      1,
      'sha256:94dcbe9b182656d54a4f72381f0efdb864324fe2c684836904652369b805c2d1',
    ],
    [
      zstd,
      { level: 3 },
      1,
      'sha256:2e8e9fb6f8e285266d14f8d08e2c5f815ddfd1b43a51b14f6601ece0c6ce1e95',
    ],
    [
      zstd,
      { level: 19 },
      1,
      'sha256:3673dea3d79841716bcbeb1e8179fd803e4514f41b740904cda8c7941fa49eed',
    ],
    [none, {}, 1, sha256(tar)],
  ])(
    'writes for revision 1 what it always wrote: $name $1',
    async (format, options, revision, digest) => {
      // Node's zlib has other code paths on other CPUs; what they write is not pinned.
      if (format === gzip && process.arch !== 'x64') return
      expect(format.revision).toBe(revision)
      const { bytes } = await encodeWith(format, chunked(tar, [65_536]), options)
      expect(sha256(bytes)).toBe(digest)
    },
    60_000,
  )
})
