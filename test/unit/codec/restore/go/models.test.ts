import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { GO_MODELS } from '../../../../../src/codec/restore/go/models.ts'
import { ByteSink, ByteSource } from '../../../../../src/codec/restore/byte-sink.ts'
import { openLedger, readLedger, writeLedger } from '../../../../../src/codec/restore/ledger.ts'
import type { Model } from '../../../../../src/codec/restore/model.ts'
import { Rebuilder } from '../../../../../src/codec/restore/rebuilder.ts'
import { seededBytes, seededText } from '../../../../helpers/bytes.ts'

/** Text, runs, noise and text again: all kinds of blocks, and more than four windows. */
const CONTENT = Buffer.concat([
  seededText(150_000, 'go'),
  Buffer.alloc(70_000),
  seededBytes(140_000, 'noise'),
  seededText(90_000, 'more'),
  Buffer.alloc(3000, 'abcdefg'),
  seededBytes(3000, 'noise'),
])

/** What Go writes for the first bytes of the content, without the header, as SHA-256: by model, then by size. */
const GOLDEN: Readonly<Record<string, Readonly<Record<number, string>>>> = {
  'Go 6': {
    0: 'dcc5ba3156760700f3f95f3ad4c36fb471ce18f74622ca694460edf8b71fc3fb',
    16: '4682301007a4d2859b072ce8d9e583722ac3330473941d1437a50e8eae232590',
    100: '335488f1cba394837b1c8391b73c5f97e63e7be49159af48e5bfad02be845798',
    65535: '95ad5968dabdf1f56703accf95e93f4a75f892e7264aa208bc794aef860fd3b2',
    65536: '97d6dd77386ad85871d83cff60a45c3243ca0cb32a717e34980b32afec9444be',
    131072: '8d877de0ddc8478a656306e881636d015b21638747ff33e555f1b08bce467412',
    456000: '640dad58d9c897cf0a14cdb633ffcfccc122844d6c28a7e5f1f67c3a802231e3',
  },
  'Go 1': {
    0: 'dcc5ba3156760700f3f95f3ad4c36fb471ce18f74622ca694460edf8b71fc3fb',
    16: '3f1653bf8b09dc1c1bb47da210e15ccd90fd5d17e1500167eca4c198f8acb318',
    100: '076ff0875c130937807b936fe5e4b8c3b5dd30a154022fbdf69ccd292c5fd83b',
    65535: 'bbed5ccf450a657d00aef91bda148219d717a0cc2c997bb0d4320f22d2ab5fa0',
    65536: '7e4e10fa0ace9ecc5f898f89a21d58da121333a2ba48900fca7ed02d034fd43e',
    131072: 'cec4029fcb822796bb8adda0cd44a160bfdf445c425a2f325a2184b5aade2327',
    456000: '37777a58c48fa9144daf6e9fb767c6d199a24e2dea603092b7ea2117abe43ecd',
  },
  'Go 9': {
    0: 'dcc5ba3156760700f3f95f3ad4c36fb471ce18f74622ca694460edf8b71fc3fb',
    16: '4682301007a4d2859b072ce8d9e583722ac3330473941d1437a50e8eae232590',
    100: '335488f1cba394837b1c8391b73c5f97e63e7be49159af48e5bfad02be845798',
    65535: '79bc9caa5fba782aeaed39accc626d757841c538e0e7e4811842119b7ab53003',
    65536: '1543a7226fa99a48f079103ac48bb4ffc3cc5a154d7f55b5aa0d76c8a71a960f',
    131072: '47a5cea92f6a182a164c03c2afd9e1a800f2aa081b4d1e9bbca67562de15a6e8',
    456000: 'd119c7325a753ef9e7bd89f5a1359256c6f7873c8b1553922ea393524ef393f7',
  },
  'Go 1.27 6': {
    0: '41f45e0c4ba13f0e8c873f321d4a83b354816b4f6f1c7cb51b97d7fae02ebe25',
    16: '5dd04dc7e3780975cdf7fb2498f7c2cfcd83ce348a512b50ec758077a1a9815d',
    100: '62e57ddf4cdbab3a7d2c06fe703e84be9d745f4ac5d435615f799b093c56c629',
    65535: '9c2290744a0bd4b794bdb7cbd46ebe0e5dca25f24760a01cefa2bb72e64b01fe',
    65536: '1348723cc5849a01ff066aa445891a692f5851dd7b691711dba1854d01a10362',
    131072: 'eca73561fb8b3264f62b46904240a5686a3c65b4a79d238dea48e5ebc2455f07',
    456000: 'b3d003f4b31dc54f0703b0e1e5aca78d95e643b10189daeb05334cb1815b5b0c',
  },
}

describe('a model without corrections', () => {
  const cases = GO_MODELS.flatMap((model) =>
    Object.entries(GOLDEN[model.name] ?? {}).map(
      ([size, digest]) => [model.name, Number(size), model, digest] as const,
    ),
  )

  it.each(cases)('writes as %s does, %i bytes', (_name, size, model, digest) => {
    expect(sha256(written(model, CONTENT.subarray(0, size)))).toBe(digest)
  })

  it('is there for each of Go', () => {
    expect(Object.keys(GOLDEN)).toEqual(GO_MODELS.map(({ name }) => name))
  })
})

/** One member, without its header. */
function written(model: Model, content: Uint8Array): Buffer {
  const sink = new ByteSink()
  writeLedger(sink, openLedger())
  const ledger = readLedger(new ByteSource(sink.written))
  const rebuilder = new Rebuilder(model, ledger, { size: content.byteLength, members: 1 })
  const parts: Uint8Array[] = []
  for (let at = 0; at < content.byteLength; at += 50_000) {
    parts.push(...rebuilder.push(content.subarray(at, at + 50_000)))
  }
  parts.push(...rebuilder.finish())
  return Buffer.concat(parts)
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
