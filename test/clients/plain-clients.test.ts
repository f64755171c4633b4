/** SOCI and nydus images before clients that know neither: the first are pulled whole, the second refused as docs/compatibility.md says. */
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CLIENTS, type ClientName, forget, startClient, tryPull } from '../helpers/clients.ts'
import { START_MS, TestProxy } from '../helpers/faults-proxy.ts'
import { describeWith, TOOLS } from '../helpers/fixtures.ts'
import { runCommand } from '../helpers/fixtures-command.ts'

const NYDUS = ['-nydus', '-nydus-ref']

const NO_PROCESSOR = /no processor for media-type/
const NO_TAR = /invalid tar header|magic number mismatch/

/** What they say of a nydus image; the others copy it. */
const REFUSALS: Readonly<Partial<Record<ClientName, RegExp>>> = {
  podman4: NO_TAR,
  podman: NO_TAR,
  ctr16: NO_PROCESSOR,
  ctr21: NO_PROCESSOR,
  ctr24: NO_PROCESSOR,
  cri: NO_PROCESSOR,
  cri24: NO_PROCESSOR,
  dk20: NO_TAR,
  dkcls: NO_TAR,
  dkctd: NO_PROCESSOR,
}

let proxy: TestProxy

beforeAll(async () => {
  const profiles = { soci: { format: 'soci', minLayerSize: 0 } }
  proxy = await TestProxy.start({ config: { profiles } })
  await proxy.registry.pushImage('app', '1', { layers: [{ size: 100_000 }, { size: 50_000 }] })
}, START_MS)

afterAll(() => proxy?.[Symbol.asyncDispose]())

describeWith(['clients', 'containerd'], 'clients without a lazy snapshotter', () => {
  test.each(CLIENTS)(
    '$title pulls SOCI images whole, and says what nydus images are',
    async (client) => {
      const { name } = client
      await startClient(name)
      const said = async (suffix: string) => {
        const { status, stdout, stderr } = await tryPull(
          name,
          `${proxy.crossdock.host}/app:1${suffix}`,
        )
        await forget(name)
        return status === 0 ? '' : `${stdout}\n${stderr}`
      }

      expect(await said('-soci')).toBe('')
      for (const suffix of NYDUS) expect(await said(suffix)).toMatch(REFUSALS[name] ?? /^$/)
    },
  )
})

describe('copies of nydus images', () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'crossdock-plain-'))
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  test.each<[string, string, (host: string, image: string) => readonly string[], RegExp]>([
    [
      'skopeo, for docker load',
      '/usr/bin/skopeo',
      (host, image) => [
        ...['--insecure-policy', 'copy', '--src-tls-verify=false', `docker://${host}/${image}`],
        `docker-archive:${folder}/${image}.tar`,
      ],
      /Unknown media type during manifest conversion/,
    ],
    [
      'crane, as one file system',
      join(TOOLS, 'crane'),
      (host, image) => ['--insecure', 'export', `${host}/${image}`, `${folder}/${image}.tar`],
      NO_TAR,
    ],
  ])('are not made by %s', async (_, program, argsOf, refusal) => {
    if (!existsSync(program)) return
    for (const suffix of NYDUS) {
      const args = argsOf(proxy.crossdock.host, `app:1${suffix}`)
      const { status, stderr } = await runCommand(program, args, { env: { HOME: folder } })

      expect(status).not.toBe(0)
      expect(stderr).toMatch(refusal)
    }
  })
})
