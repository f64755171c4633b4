/** What SOCI and nydus forms cost, against the programs that make them for their own nodes. */
import { existsSync } from 'node:fs'
import { rm, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { Encoding, FormatOptions } from '../../src/format/format.ts'
import { defaultOptions } from '../../src/format/formats.ts'
import { nydus, nydusRef } from '../../src/format/nydus/nydus.ts'
import { soci } from '../../src/format/soci/soci.ts'
import type { ByteStream } from '../../src/lib/streams.ts'
import { startCrossdock } from '../helpers/crossdock-process.ts'
import { REGISTRY, TOOLS } from '../helpers/fixtures.ts'
import { openGateway } from '../helpers/fixtures-gateway.ts'
import { mustRun } from '../helpers/fixtures-command.ts'
import { pullImage } from '../helpers/fixtures-puller.ts'
import { readManifest } from '../helpers/fixtures-registry.ts'
import { comparePair, formatRate, formatTime, median, timed } from './measure.ts'
import { UPSTREAM_RATE } from './pulling.ts'
import type { AnyRow, Row, Section } from './row.ts'
import { type Folder, IMAGE, largestLayer, openFolder, readFileBytes, shell } from './source.ts'

/** Built with a real node, by name (test/nodes-setup.sh). */
const NYDUS_IMAGE = join(
  process.env.CROSSDOCK_TEST_CACHE ?? join(homedir(), '.cache/crossdock-tests'),
  'nydus/client/bin/nydus-image',
)

/** Bytes of tar a second and core. */
const LEAST_REF_RATE = 100e6

/** How much longer than the download the making of SOCI's tables may take. */
const MAX_SOCI_SLOWDOWN = 1.15

export const pieces: Section = {
  name: 'pieces',
  async measure(runs) {
    await using folder = await openFolder()
    const rows: AnyRow[] = [await ztocs(runs, folder)]
    if (existsSync(NYDUS_IMAGE)) rows.push(await nydusBlobs(runs, folder))
    else console.error(`without ${NYDUS_IMAGE} nydus is compared with nothing`)
    rows.push(await references(runs, folder), await coldSoci(runs))
    return rows
  },
}

async function ztocs(runs: number, { path }: Folder): Promise<Row> {
  const { file, size: packed } = await largestLayer()
  const out = join(path, 'ztoc')
  const pair = await comparePair(
    runs,
    () => timed(() => drain(soci.encoding, readFileBytes(file), defaultOptions(soci))),
    () =>
      timed(() => mustRun(join(TOOLS, 'oracle-soci'), ['make', '--layer', file, '--ztoc', out])),
  )
  return {
    what: `ztoc, largest layer of ${IMAGE} (${Math.round(packed / 1e6)} MB of gzip)`,
    against: 'oracle-soci make',
    ours: formatTime(pair.ours),
    theirs: formatTime(pair.theirs),
    ratio: pair.theirs / pair.ours,
    least: 1,
  }
}

async function nydusBlobs(runs: number, { path }: Folder): Promise<Row> {
  const { tar, size } = await unpacked(path)
  const blobs = join(path, 'blobs')
  const words = ['create', '-t', 'tar-rafs', '-v', '6', '--digester', 'sha256', '-l', 'error']
  const more = ['--compressor', 'zstd', '--chunk-size', '0x100000', '--blob-inline-meta']
  const pair = await comparePair(
    runs,
    () => timed(() => drain(nydus.encoding, readFileBytes(tar), defaultOptions(nydus), tar)),
    async () => {
      await rm(blobs, { recursive: true, force: true })
      await shell(`mkdir ${blobs}`)
      return timed(() => mustRun(NYDUS_IMAGE, [...words, ...more, '-D', blobs, tar]))
    },
  )
  return {
    what: `nydus blob, largest layer of ${IMAGE} (${Math.round(size / 1e6)} MB of tar)`,
    against: 'nydus-image create',
    ours: `${formatTime(pair.ours)}, ${formatRate(size, pair.ours)}`,
    theirs: `${formatTime(pair.theirs)}, ${formatRate(size, pair.theirs)}`,
    ratio: pair.theirs / pair.ours,
    least: 1,
  }
}

async function references(runs: number, { path }: Folder): Promise<AnyRow> {
  const { file } = await largestLayer()
  const { size } = await unpacked(path)
  const seconds: number[] = []
  for (let i = 0; i < runs; i += 1) {
    const before = process.cpuUsage()
    await drain(nydusRef.encoding, readFileBytes(file), defaultOptions(nydusRef))
    const { user, system } = process.cpuUsage(before)
    seconds.push((user + system) / 1e6)
  }
  const rate = size / median(seconds)
  return {
    what: `nydus-ref, the same layer, a second of processor time`,
    ours: `${Math.round(rate / 1e6)} MB of tar`,
    bound: `${LEAST_REF_RATE / 1e6} MB or more`,
    met: rate >= LEAST_REF_RATE,
  }
}

async function coldSoci(runs: number): Promise<Row> {
  await using upstream = await openGateway({ to: REGISTRY, bytesPerSecond: UPSTREAM_RATE })
  const cold = () => startCrossdock({ upstream: upstream.host })
  const pair = await comparePair(
    runs,
    async () => {
      await using crossdock = await cold()
      return await timed(async () => {
        const { status } = await readManifest(`${crossdock.host}/${IMAGE}-soci`)
        if (status !== 200) throw new Error(`${IMAGE}-soci: ${status}`)
      })
    },
    async () => {
      await using crossdock = await cold()
      return await timed(async () => {
        const { outcome, reason } = await pullImage(`${crossdock.host}/${IMAGE}`)
        if (outcome !== 'pulled') throw new Error(reason)
      })
    },
  )
  return {
    what: `cold ${IMAGE}-soci manifest, stored durably, upstream limited to 50 MB/s`,
    against: `cold pull of ${IMAGE} through crossdock`,
    ours: formatTime(pair.ours),
    theirs: formatTime(pair.theirs),
    ratio: pair.theirs / pair.ours,
    least: 1 / MAX_SOCI_SLOWDOWN,
  }
}

async function unpacked(folder: string): Promise<{ readonly tar: string; readonly size: number }> {
  const { file } = await largestLayer()
  const tar = join(folder, 'layer.tar')
  await shell(`zcat < ${file} > ${tar}`)
  return { tar, size: (await stat(tar)).size }
}

async function drain(
  encoding: Encoding,
  input: ByteStream,
  options: FormatOptions,
  tar?: string,
): Promise<void> {
  const context = { concurrency: 2 }
  const limits = { maxOutput: 2 ** 40, maxWindowLog: 27 }
  const blob =
    encoding.reads === 'tar'
      ? encoding.encode(input, options, { ...context, reopen: () => readFileBytes(tar ?? '') })
      : encoding.encode(input, options, {
          ...{ ...context, limits, wants512: false, unpacked: () => undefined },
          reopen: () => input,
        })
  for await (const _ of blob);
}
