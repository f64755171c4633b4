/** What crosses an air gap: bundles of plain layers, and of originals as tars, against what other tools make of the same images. */
import { mkdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CLIENTS_DIR, REGISTRY, ROOT } from '../helpers/fixtures.ts'
import { mustRun } from '../helpers/fixtures-command.ts'
import { startDaemon } from '../helpers/fixtures-daemons.ts'
import { timed } from './measure.ts'
import type { Row, Section } from './row.ts'
import { openFolder, shell } from './source.ts'

const NAME = 'debian:12-amd64'

/** Not smaller than theirs by more than 2 %. */
const LEAST_SIZE = 1 / 1.02
const LEAST_SPEED = 3
/** Originals as tars are smaller than these as they are by 30 %. */
const LEAST_SAVED = 1 / 0.7

/** Debian alone, and what is built on it: layers of apt, npm and an application. */
const ORIGINALS = [NAME, 'node-app:1'] as const

export const bundles: Section = {
  name: 'bundles',
  isLong: true,
  async measure() {
    await using folder = await openFolder()
    const file = (name: string) => join(folder.path, name)
    await writeFile(
      file('crossdock.yaml'),
      JSON.stringify({
        upstreams: { origin: { url: `http://${REGISTRY}` } },
        defaultUpstream: 'origin',
        data: file('data'),
      }),
    )
    const run = (command: string, ...args: readonly string[]) => {
      const main = [join(ROOT, 'src/main.ts'), command, '--config', file('crossdock.yaml')]
      return mustRun(process.execPath, [...main, ...args])
    }
    await run('stage', `${NAME}-none`)
    const xz = await timed(() => run('export', '-o', file('ours.tar.xz'), `${NAME}-none`))
    const zstd = await timed(() => run('export', '-o', file('ours.tar.zst'), `${NAME}-none`))

    await startDaemon('dk20')
    const docker = `docker -H unix://${join(CLIENTS_DIR, 'dk20/sock')}`
    await shell(`xzcat ${file('ours.tar.xz')} | ${docker} load`)
    const loaded = `origin/${NAME}`
    const save = `${docker} save ${loaded} | xz -T0 > ${file('theirs.tar.xz')}`
    const saved = await timed(() => shell(save))
    await shell(`${docker} image rm --force ${loaded}`)

    const [ours, theirs] = await Promise.all(
      ['ours', 'theirs'].map((whose) => stat(file(`${whose}.tar.xz`))),
    )
    const sizes = [ours?.size ?? Number.NaN, theirs?.size ?? Number.NaN] as const
    const originals = []
    for (const image of ORIGINALS) originals.push(...(await compareOriginals(image, file, run)))
    return [
      ...originals,
      {
        what: `export ${NAME}-none --compress xz, size (written in ${xz.toFixed(1)} s)`,
        against: `docker save | xz -T0 (${saved.toFixed(1)} s)`,
        ours: `${(sizes[0] / 1e6).toFixed(2)} MB`,
        theirs: `${(sizes[1] / 1e6).toFixed(2)} MB`,
        ratio: sizes[1] / sizes[0],
        least: LEAST_SIZE,
      },
      {
        what: `export ${NAME}-none --compress zstd, time`,
        against: 'the same --compress xz',
        ours: `${zstd.toFixed(2)} s`,
        theirs: `${xz.toFixed(2)} s`,
        ratio: xz / zstd,
        least: LEAST_SPEED,
      },
    ]
  },
}

type Run = (command: string, ...args: readonly string[]) => Promise<unknown>

/** The same image by ways that keep its digest, and the bundle of its plain layers, which does not. */
async function compareOriginals(
  image: string,
  file: (name: string) => string,
  run: Run,
): Promise<readonly Row[]> {
  const folder = file(`original-${image.replace(':', '-')}`)
  const to = (name: string) => join(folder, name)
  await mkdir(folder)
  const write = async (name: string, ...args: readonly string[]) =>
    await timed(() => run('export', '-o', to(name), ...args))
  const xz = await write('ours.tar.xz', image, '--restore-digests')
  const zstd = await write('ours.tar.zst', image, '--restore-digests')
  await write('plain.tar.xz', `${image}-none`)
  await write('plain.tar.zst', `${image}-none`)
  await write('whole.tar', image, '--format', 'oci')
  await shell(`zstd -q -19 -T0 ${to('whole.tar')} -o ${to('hauler.tar.zst')}`)
  const archive = `oci-archive:${to('skopeo.tar')}:${image}`
  await shell(`skopeo copy -q --src-tls-verify=false docker://${REGISTRY}/${image} ${archive}`)
  await shell(`xz -T0 ${to('skopeo.tar')}`)
  const imported = await timed(() => run('import', '--data', to('far'), to('ours.tar.xz')))
  const size = async (name: string) => (await stat(to(name))).size
  const ours = { xz: await size('ours.tar.xz'), zstd: await size('ours.tar.zst') }
  const row = async (how: 'xz' | 'zstd', against: string, name: string, least: number) => ({
    what: `export ${image} --restore-digests --compress ${how}, size (${(how === 'xz' ? xz : zstd).toFixed(0)} s, import ${imported.toFixed(0)} s)`,
    against,
    ours: inMegabytes(ours[how]),
    theirs: inMegabytes(await size(name)),
    ratio: (await size(name)) / ours[how],
    least,
  })
  return [
    await row('xz', 'originals in a tar.zst (as hauler)', 'hauler.tar.zst', LEAST_SAVED),
    await row('xz', 'skopeo copy oci-archive | xz -T0', 'skopeo.tar.xz', LEAST_SAVED),
    await row('xz', `export ${image}-none --compress xz`, 'plain.tar.xz', LEAST_SIZE),
    await row('zstd', 'originals in a tar.zst (as hauler)', 'hauler.tar.zst', 1),
    await row('zstd', `export ${image}-none --compress zstd`, 'plain.tar.zst', LEAST_SIZE),
  ]
}

function inMegabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(2)} MB`
}
