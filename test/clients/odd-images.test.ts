/** Odd images as real registry clients take them: layers of every compression in one image, an index with children that are not there. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { existsSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { fakeImage, fakeIndex, fakeLayer } from '../helpers/fake-image.ts'
import { START_MS, TestProxy } from '../helpers/faults-proxy.ts'
import { TOOLS } from '../helpers/fixtures.ts'
import { runCommand } from '../helpers/fixtures-command.ts'

interface Copier {
  readonly name: string
  readonly program: string
  /** Copies one image for linux/amd64 into a folder, or a file in it. */
  readonly args: (host: string, name: string, folder: string) => readonly string[]
}

const COPIERS: readonly Copier[] = [
  {
    name: 'crane',
    program: join(TOOLS, 'crane'),
    args: (host, name, folder) => ['--insecure', 'pull', `${host}/${name}`, `${folder}/image.tar`],
  },
  {
    name: 'oras',
    program: join(TOOLS, 'oras'),
    args: (host, name, folder) => [
      ...['copy', '--from-plain-http', '--platform', 'linux/amd64', `${host}/${name}`],
      ...['--to-oci-layout', `${folder}/layout:1`],
    ],
  },
  {
    name: 'regctl',
    program: join(TOOLS, 'regctl'),
    args: (host, name, folder) => [
      ...['image', 'copy', '--host', `reg=${host},tls=disabled`, '--platform', 'linux/amd64'],
      ...[`${host}/${name}`, `ocidir://${folder}/layout:1`],
    ],
  },
  {
    name: 'skopeo',
    program: '/usr/bin/skopeo',
    args: (host, name, folder) => [
      ...['--insecure-policy', '--override-os', 'linux', '--override-arch', 'amd64', 'copy'],
      ...['--src-tls-verify=false', `docker://${host}/${name}`, `oci:${folder}/layout:1`],
    ],
  },
]

let proxy: TestProxy
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crossdock-odd-'))
  proxy = await TestProxy.start()
  const { registry } = proxy
  const compressions = ['gzip', 'zstd', 'none'] as const
  const layers = await Promise.all(compressions.map((compression) => fakeLayer({ compression })))
  await registry.pushImage('odd/mixed', '1', { layers })
  await registry.pushIndex('odd/index', '1', { platforms: ['linux/amd64', 'linux/arm64'] })
  const [here, missing] = [await fakeImage(), await fakeImage({ platform: 'linux/s390x' })]
  const index = fakeIndex([missing, here])
  registry.push('odd/part', '1', index)
  registry.delete('odd/part', missing.digest)
  const strange = { ...missing, digest: digestOf(Buffer.from('x')).replace('sha256', 'blake3') }
  const other = fakeIndex([strange as typeof missing, here])
  registry.push('odd/strange', undefined, here)
  registry.push('odd/strange', '1', { ...other, images: [here] })
}, START_MS)

afterAll(async () => {
  await proxy?.[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

const IMAGES = ['odd/mixed', 'odd/index', 'odd/part', 'odd/strange']
const SUFFIXES = ['', '-zstd', '-gzip', '-none']

describe.each(COPIERS)('$name', ({ name, program, args }) => {
  test.skipIf(!existsSync(program))(
    `pulls in every form what it pulls as it is: ${IMAGES.join(', ')}`,
    async () => {
      for (const image of IMAGES) {
        for (const suffix of SUFFIXES) {
          const into = await mkdtemp(join(folder, `${name}-`))
          const reference = `${image}:1${suffix}`
          const env = { HOME: into }
          const told = await runCommand(program, args(proxy.crossdock.host, reference, into), {
            env,
          })
          // What a client does not take from anybody is no matter of ours (crane reads no index that names an unknown digest).
          if (suffix === '' && told.status !== 0 && image === 'odd/strange') break
          expect([reference, told.status, told.status === 0 ? '' : told.stderr]).toEqual([
            ...[reference, 0, ''],
          ])
        }
      }
    },
    120_000,
  )
})
