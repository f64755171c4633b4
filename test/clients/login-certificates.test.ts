/** Clients that say who they are by a certificate: containerd's hosts.toml, Docker's certs.d, --cert-dir of podman and skopeo. */
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { type Authority, openAuthority } from '../helpers/certificates.ts'
import { type ClientName, forget, getClient, startClient } from '../helpers/clients.ts'
import { copyToClient, forgetLogins, runClient } from '../helpers/clients-login.ts'
import { type Crossdock, startCrossdock } from '../helpers/crossdock-process.ts'
import { describeWith, REGISTRY, ROOTFS } from '../helpers/fixtures.ts'
import type { CommandResult } from '../helpers/fixtures-command.ts'

/** Docker never checks certificates of loopback addresses, nor shows its own there. */
const ADDRESS = Object.values(networkInterfaces())
  .flatMap((list) => list ?? [])
  .find(({ family, internal }) => family === 'IPv4' && !internal)?.address
const HOST = ADDRESS ?? '127.0.0.1'

const MINE = 'tags:1.12.6-slim'
const NOT_MINE = 'legacy:single'
const WAIT = { timeout: 10_000, interval: 50 }

type PullWith = (image: string, certificates: string) => Promise<CommandResult>

describeWith(['registry', 'clients', 'containerd'], 'holders of a client certificate', () => {
  let folder: string
  let authority: Authority
  let crossdock: Crossdock

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'crossdock-certificates-'))
    authority = await openAuthority(folder)
    const server = await authority.issue('server', '/CN=crossdock', [HOST, '127.0.0.1'])
    crossdock = await startCrossdock({
      config: {
        listen: [{ address: `${HOST}:0`, tls: { ...server, clientCa: authority.ca } }],
        upstreams: { origin: { url: `http://${REGISTRY}` } },
        auth: { mode: 'mtls', policy: [{ who: ['@edge'], match: ['origin/tags'] }] },
      },
    })
    for (const [name, subject] of [
      ['node', '/OU=edge/CN=node-7'],
      ['guest', '/OU=hall/CN=guest'],
    ] as const) {
      const { cert, key } = await authority.issue(name, subject)
      await certificateFolder(join(folder, `${name}.d`), cert, key)
    }
    const other = join(folder, 'other')
    await mkdir(other)
    const { cert, key } = await (await openAuthority(other)).issue('node', '/OU=edge/CN=node-7')
    await certificateFolder(join(folder, 'stranger.d'), cert, key)
  })
  afterAll(async () => {
    await crossdock?.[Symbol.asyncDispose]()
    await forgetLogins()
    await rm(folder, { recursive: true, force: true })
  })

  /** As Docker, podman and skopeo want them; `ca.crt` is for the server. */
  async function certificateFolder(path: string, cert: string, key: string): Promise<void> {
    await mkdir(path)
    await copyFile(authority.ca, join(path, 'ca.crt'))
    await copyFile(cert, join(path, 'client.cert'))
    await copyFile(key, join(path, 'client.key'))
  }

  const clients: readonly [ClientName, PullWith][] = [
    ['skopeo', (image, folder) => skopeo('skopeo', image, folder)],
    ['skopeo22', (image, folder) => skopeo('skopeo22', image, folder)],
    ['podman4', (image, folder) => podman('podman4', image, folder)],
    ['podman', (image, folder) => podman('podman', image, folder)],
    ['ctr16', (image, folder) => containerd('ctr16', image, folder)],
    ['ctr21', (image, folder) => containerd('ctr21', image, folder)],
    ['ctr24', (image, folder) => containerd('ctr24', image, folder)],
    ['dkcls', (image, folder) => docker('dkcls', image, folder)],
  ]
  if (ADDRESS === undefined) console.warn('skipped Docker: this machine has loopback alone')

  for (const [name, pullWith] of clients) {
    const isSkipped = name === 'dkcls' && ADDRESS === undefined
    test.skipIf(isSkipped)(
      `${getClient(name).title} gets what its certificate's group may have`,
      async () => {
        await startClient(name)
        await forget(name)
        await forgetLogins()
        const copies = new Map<string, string>()
        for (const who of ['node', 'guest', 'stranger']) {
          copies.set(who, await copyToClient(name, join(folder, `${who}.d`), who))
        }
        const pull = (who: string, image: string) =>
          pullWith(`${crossdock.host}/${image}`, copies.get(who) ?? '')

        const mark = crossdock.requests().length
        // Signed by nobody that the server knows: TLS ends before there is a request.
        expect((await pull('stranger', MINE)).status).not.toBe(0)
        expect((await pull('guest', MINE)).status).not.toBe(0)
        expect((await pull('node', NOT_MINE)).status).not.toBe(0)
        await expectAnswers(mark, [404], ['guest', 'node-7'])

        const next = crossdock.requests().length
        const { status, stdout, stderr } = await pull('node', MINE)
        expect(status, stdout + stderr).toBe(0)
        await expectAnswers(next, [200], ['node-7'])
        await forget(name)
      },
    )
  }

  /** Every answer about a repository since a moment, and who asked. */
  async function expectAnswers(mark: number, statuses: number[], who: string[]): Promise<void> {
    await vi.waitFor(() => {
      const lines = crossdock.requests().slice(mark)
      const repository = lines.filter(({ route }) => route === 'manifest' || route === 'blob')
      expect([...new Set(repository.map((one) => one.status))]).toEqual(statuses)
      expect([...new Set(repository.map((one) => one.principal))].sort()).toEqual(who)
    }, WAIT)
  }
})

async function skopeo(name: ClientName, image: string, folder: string): Promise<CommandResult> {
  const out = `dir:${folder}/../${name}-out`
  return runClient(name, ['copy', '-q', '--src-cert-dir', folder, `docker://${image}`, out])
}

async function podman(name: ClientName, image: string, folder: string): Promise<CommandResult> {
  return runClient(name, ['pull', '-q', '--cert-dir', folder, image])
}

async function containerd(name: ClientName, image: string, folder: string): Promise<CommandResult> {
  const host = image.slice(0, image.indexOf('/'))
  const hosts = `server = "https://${host}"
[host."https://${host}"]
  capabilities = ["pull", "resolve"]
  ca = "${folder}/ca.crt"
  client = [["${folder}/client.cert", "${folder}/client.key"]]
`
  const outside = name === 'ctr16' ? folder : join(ROOTFS, folder)
  const place = join(outside, 'hosts', host)
  await mkdir(place, { recursive: true })
  await writeFile(join(place, 'hosts.toml'), hosts)
  const args = ['images', 'pull', '--snapshotter', 'overlayfs', '--hosts-dir', `${folder}/hosts`]
  return runClient(name, [...args, image])
}

/** dockerd reads the folder for each pull. */
async function docker(name: ClientName, image: string, folder: string): Promise<CommandResult> {
  const host = image.slice(0, image.indexOf('/'))
  const place = join(ROOTFS, 'etc/docker/certs.d', host)
  await mkdir(place, { recursive: true })
  try {
    for (const file of ['ca.crt', 'client.cert', 'client.key']) {
      await copyFile(join(ROOTFS, folder, file), join(place, file))
    }
    return await runClient(name, ['pull', image])
  } finally {
    await rm(place, { recursive: true, force: true })
  }
}
