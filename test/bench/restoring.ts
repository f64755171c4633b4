/** gzip layers made again from their tar, beside the programs that wrote them, on one core each. */
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { analyse } from '../../src/codec/restore/analyse.ts'
import { rebuild } from '../../src/codec/restore/rebuild.ts'
import { chunked } from '../helpers/bytes.ts'
import { CACHE, findMissing } from '../helpers/fixtures.ts'
import { mustRun } from '../helpers/fixtures-command.ts'
import { comparePair, formatRate, timed } from './measure.ts'
import type { AnyRow, Row, Section } from './row.ts'
import { IMAGE, largestLayer, openFolder, shell } from './source.ts'

interface Writer {
  readonly name: string
  /** A command line that leaves `layer.gz` of `layer.tar`. */
  readonly command: string
  /** How much of the encoder's own speed making again has, at least. */
  readonly least: number
}

const WRITERS: readonly Writer[] = [
  { name: 'Go 6', command: go('gzips-go1.26 std 6'), least: 0.8 },
  { name: 'Go 1', command: go('gzips-go1.26 std 1'), least: 0.4 },
  { name: 'Go 1.27 6', command: go('gzips-go1.27 std 6'), least: 0.4 },
  { name: 'pgzip', command: go('gzips-kp1.18.0 pgzip -1'), least: 0.4 },
  { name: 'klauspost 5', command: go('gzips-go1.26 klauspost -1'), least: 0.4 },
  { name: 'gzip -6', command: 'gzip -n -6 < layer.tar > layer.gz', least: 0.8 },
  { name: 'gzip -9', command: 'gzip -n -9 < layer.tar > layer.gz', least: 0.8 },
]

const PIECES = [256 * 1024] as const

export const restoring: Section = {
  name: 'restoring',
  isLong: true,
  async measure(runs) {
    if (findMissing(['encoders']) !== undefined) return []
    await using folder = await openFolder()
    const layer = await largestLayer()
    await shell(`zcat < ${layer.file} > ${join(folder.path, 'layer.tar')}`)
    const rows: AnyRow[] = []
    for (const writer of WRITERS) rows.push(...(await measureWriter(runs, folder.path, writer)))
    return rows
  },
}

async function measureWriter(
  runs: number,
  folder: string,
  { name, command, least }: Writer,
): Promise<readonly AnyRow[]> {
  const write = () =>
    timed(() => mustRun('bash', ['-c', `cd ${folder} && ${command}`], { env: { GOMAXPROCS: '1' } }))
  await write()
  const tar = await readFile(join(folder, 'layer.tar'))
  const gzip = await readFile(join(folder, 'layer.gz'))
  const find = () => analyse(() => chunked(gzip, PIECES))
  const analysis = await find()
  if (analysis.kind === 'carry') {
    return [{ what: `a layer of ${name}`, ours: analysis.why, bound: 'restorable', met: false }]
  }
  const { corrections } = analysis
  const again = () => timed(() => drain(rebuild(chunked(tar, PIECES), corrections)))
  const { size } = await stat(join(folder, 'layer.gz'))
  const row = (what: string, pair: { ours: number; theirs: number }): Row => ({
    what: `${what} a layer of ${name} (${IMAGE}, ${Math.round(tar.byteLength / 1e6)} MB of tar)`,
    against: 'its encoder',
    ours: formatRate(tar.byteLength, pair.ours),
    theirs: formatRate(tar.byteLength, pair.theirs),
    ratio: pair.theirs / pair.ours,
    least,
  })
  return [
    row('rebuild', await comparePair(runs, again, write)),
    // It follows the stream, and proves that it comes back.
    {
      ...row('analyse and prove', await comparePair(1, () => timed(find), write)),
      least: least / 3,
    },
    {
      what: `corrections of a layer of ${name}`,
      ours: `${corrections.byteLength} bytes`,
      bound: 'below 0.01 % of the gzip',
      met: corrections.byteLength < size / 10_000,
    },
  ]
}

async function drain(bytes: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const _ of bytes);
}

function go(program: string): string {
  return `${join(CACHE, 'encoders', program)} layer.tar layer.gz`
}
