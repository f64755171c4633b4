/** What crosses an air gap: one compressed bundle of plain layers against docker save through xz. */
import { stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CLIENTS_DIR, REGISTRY, ROOT } from '../helpers/fixtures.ts'
import { mustRun } from '../helpers/fixtures-command.ts'
import { startDaemon } from '../helpers/fixtures-daemons.ts'
import { timed } from './measure.ts'
import type { Section } from './row.ts'
import { openFolder, shell } from './source.ts'

const NAME = 'debian:12-amd64'

/** Not smaller than theirs by more than 2 %. */
const LEAST_SIZE = 1 / 1.02
const LEAST_SPEED = 3

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
    return [
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
