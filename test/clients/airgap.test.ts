/** The way across an air gap with the programs that people have on the far side. */
import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { forget, removeClientFile, startClient, writeClientFile } from '../helpers/clients.ts'
import { pullIn, restartIn } from '../helpers/clients-in-namespace.ts'
import { type Crossdock, startCrossdock } from '../helpers/crossdock-process.ts'
import { CLIENTS_DIR, describeWith, REGISTRY, ROOT, ROOTFS } from '../helpers/fixtures.ts'
import { mustRun, runCommand } from '../helpers/fixtures-command.ts'
import { stopDaemon } from '../helpers/fixtures-daemons.ts'
import { type Gateway, openGateway } from '../helpers/fixtures-gateway.ts'
import { readImage, readManifest } from '../helpers/fixtures-registry.ts'
import { type Namespace, openNamespace } from '../helpers/network-namespace.ts'

/** One of several platforms, one with referrers and a cosign tag, one plain. */
const IMAGES = ['debian:12', 'artifact:image', 'shared-a:1'] as const

/** The tests' own settings are none of the program's. */
const ENV = Object.fromEntries(
  Object.keys(process.env)
    .filter((name) => name.startsWith('CROSSDOCK_'))
    .map((name) => [name, undefined]),
)

describeWith(['registry', 'clients'], 'air gap', () => {
  let folder: string
  let hub: Gateway

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'crossdock-airgap-'))
    hub = await openGateway({
      to: REGISTRY,
      rewrite: (path) => path.replace('/v2/library/', '/v2/'),
    })
    const upstreams = { 'docker.io': { url: hub.url } }
    const near = { defaultUpstream: 'docker.io', upstreams, data: join(folder, 'near') }
    await writeFile(join(folder, 'near.yaml'), JSON.stringify(near))
    await writeFile(join(folder, 'far.yaml'), JSON.stringify({ cache: { offline: true } }))
  })
  afterAll(async () => {
    await hub?.[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  })

  const crossdock = (...args: readonly string[]) =>
    mustRun(process.execPath, [join(ROOT, 'src/main.ts'), ...args], { env: ENV })
  const exportTo = (file: string, ...args: readonly string[]) =>
    crossdock('export', '--config', join(folder, 'near.yaml'), '-o', join(folder, file), ...args)
  const importTo = (data: string, file: string) =>
    crossdock('import', '--config', join(folder, 'far.yaml'), '--data', data, join(folder, file))

  // ---------------------------------------------------------------------------------- served behind the gap

  test('in a namespace without any route, clients pull original names and nothing is dialled', async () => {
    await exportTo('all.tar.zst', ...IMAGES)
    await using host = await openNamespace()
    // Whoever dials it is counted.
    const outside = 'http://192.0.2.1:5000'
    await host.run('sh', ['-c', `! curl -s ${outside}/v2/`])
    const before = await host.attempts()
    expect(before).toBeGreaterThan(0)

    const data = join(folder, 'far')
    const bundle = join(folder, 'all.tar.zst')
    const config = join(folder, 'far.yaml')
    const main = join(ROOT, 'src/main.ts')
    const args = ['import', '--config', config, '--data', data, bundle]
    await host.run(process.execPath, [main, ...args], { env: ENV })
    await using far = await startCrossdock({
      data,
      command: host.command,
      config: {
        cache: { offline: true },
        defaultUpstream: 'docker.io',
        upstreams: { 'docker.io': { url: outside } },
      },
      env: { HTTP_PROXY: outside, HTTPS_PROXY: outside },
    })

    for (const image of IMAGES) await expectServed(host, far, image)
    await expectSigned(host, far)
    await pullByContainerd(host, far)
    await pullByPodman(host, far)
    await pullByDocker(host, far)
    expect(await host.attempts()).toBe(before)
  })

  /** Reads as skopeo does, under the name that the near side has. */
  async function expectServed(host: Namespace, far: Crossdock, image: string): Promise<void> {
    const { digest } = await readManifest(`${REGISTRY}/${image}`)
    const { stdout } = await host.run('skopeo', [
      ...['inspect', '--tls-verify=false', '--raw', `docker://${far.host}/library/${image}`],
    ])
    expect(digestOf(Buffer.from(stdout))).toBe(digest)
  }

  /** The signature that is a referrer, and the one under cosign's tag. */
  async function expectSigned(host: Namespace, far: Crossdock): Promise<void> {
    const { digest } = await readManifest(`${REGISTRY}/artifact:image`)
    const get = async (path: string) =>
      (await host.run('curl', ['-sSf', `${far.url}/v2/library/artifact/${path}`])).stdout
    const { manifests } = JSON.parse(await get(`referrers/${digest}`)) as {
      manifests: { digest: string }[]
    }
    expect(manifests.length).toBeGreaterThan(0)
    for (const one of manifests) {
      expect(digestOf(Buffer.from(await get(`manifests/${one.digest}`)))).toBe(one.digest)
    }
    const tag = `${digest.replace(':', '-')}.sig`
    const signature = await readManifest(`${REGISTRY}/artifact:${tag}`)
    expect(digestOf(Buffer.from(await get(`manifests/${tag}`)))).toBe(signature.digest)
  }

  async function pullByContainerd(host: Namespace, far: Crossdock): Promise<void> {
    const hosts = `[host."http://${far.host}"]\ncapabilities = ["pull", "resolve"]\n`
    const file = 'hosts-airgap/docker.io/hosts.toml'
    const path = await writeClientFile('ctr16', file, hosts)
    try {
      await restartIn(host, 'ctr16')
      await forget('ctr16')
      const env = { RC_HOSTS: path.replace('/docker.io/hosts.toml', '') }
      for (const image of IMAGES) await pullIn(host, 'ctr16', `docker.io/library/${image}`, env)
      const { stdout } = await mustRun('ctr', [...ctr16('default'), 'images', 'ls'])
      for (const image of IMAGES) {
        const { digest } = await readManifest(`${REGISTRY}/${image}`)
        expect(stdout).toMatch(new RegExp(`docker\\.io/library/${image} .*${digest}`))
      }
      await forget('ctr16')
    } finally {
      await stopDaemon('ctr16')
      await removeClientFile('ctr16', 'hosts-airgap')
    }
  }

  async function pullByPodman(host: Namespace, far: Crossdock): Promise<void> {
    const config = `[[registry]]\nlocation = "docker.io"\n[[registry.mirror]]\nlocation = "${far.host}"\ninsecure = true\n`
    const path = await writeClientFile('podman', 'airgap/registries.conf', config)
    try {
      await forget('podman')
      for (const image of IMAGES) {
        await pullIn(host, 'podman', `docker.io/library/${image}`, {
          CONTAINERS_REGISTRIES_CONF: path,
        })
      }
    } finally {
      await removeClientFile('podman', 'airgap')
      await forget('podman')
    }
  }

  async function pullByDocker(host: Namespace, far: Crossdock): Promise<void> {
    try {
      await restartIn(host, 'dkcls', { RC_MIRROR: far.url })
      await forget('dkcls')
      const docker = ['-H', `unix://${join(ROOTFS, 'rc/dkcls.sock')}`]
      for (const image of IMAGES) {
        await pullIn(host, 'dkcls', `docker.io/library/${image}`)
        const { stdout } = await mustRun('docker', [
          ...[...docker, 'image', 'inspect', '--format', '{{join .RepoDigests " "}}', image],
        ])
        const { digest } = await readManifest(`${REGISTRY}/${image}`)
        expect(stdout.trim()).toBe(`${image.replace(/:.*/, '')}@${digest}`)
      }
      await forget('dkcls')
    } finally {
      await stopDaemon('dkcls')
    }
  }

  // ---------------------------------------------------------------------------------- loaded without any server

  test('xz archives of plain layers load as they are, with the source image ID', async () => {
    await exportTo('plain.tar.xz', '--level', '1', 'plain-src:1-none', 'artifact:image')
    const id = (await readImage(`${REGISTRY}/plain-src:1`)).document.config?.digest ?? ''
    expect(id).toMatch(/^sha256:/)
    const archive = join(folder, 'plain.tar.xz')

    await startClient('ctr16')
    await forget('ctr16')
    await pipe(archive, 'ctr', [...ctr16(), 'images', 'import', '-'])
    const images = (await mustRun('ctr', [...ctr16(), 'images', 'ls', '-q'])).stdout
    expect(images.trim().split('\n').toSorted()).toEqual([
      'docker.io/library/artifact:image',
      'docker.io/library/plain-src:1',
    ])
    await forget('ctr16')

    for (const [name, socket] of [
      ['dk20', join(CLIENTS_DIR, 'dk20/sock')],
      ['dkcls', join(ROOTFS, 'rc/dkcls.sock')],
    ] as const) {
      await startClient(name)
      await forget(name)
      await pipe(archive, 'docker', ['-H', `unix://${socket}`, 'load'])
      const { stdout } = await mustRun('docker', [
        ...['-H', `unix://${socket}`, 'image', 'inspect', '--format', '{{.Id}}'],
        'plain-src:1',
      ])
      expect(stdout.trim()).toBe(id)
      await forget(name)
    }
  })

  test('podman and skopeo take the archive, too', async () => {
    await exportTo('pair.tar', 'plain-src:1-zstd', 'artifact:image')
    const id = (await readImage(`${REGISTRY}/plain-src:1`)).document.config?.digest ?? ''
    const store = ['--root', join(folder, 'podman'), '--runroot', join(folder, 'podman-run')]
    const podman = [...store, '--storage-driver', 'vfs']

    await mustRun('podman', [...podman, 'load', '-i', join(folder, 'pair.tar')])
    const { stdout } = await mustRun('podman', [
      ...[...podman, 'image', 'inspect', '--format', '{{.Id}}'],
      'docker.io/library/plain-src:1',
    ])
    expect(`sha256:${stdout.trim()}`).toBe(id)
    await mustRun('skopeo', [
      ...['copy', '-q', `oci-archive:${join(folder, 'pair.tar')}:docker.io/library/plain-src:1`],
      `dir:${join(folder, 'skopeo')}`,
    ])
    expect(await readdir(join(folder, 'skopeo'))).toContain(id.slice('sha256:'.length))
  })

  test('what Docker, podman and containerd export comes in', async () => {
    await exportTo('one.tar', '--format', 'docker', 'plain-src:1')
    const id = (await readImage(`${REGISTRY}/plain-src:1`)).document.config?.digest
    await startClient('dk20')
    const docker = ['-H', `unix://${join(CLIENTS_DIR, 'dk20/sock')}`]
    await mustRun('docker', [...docker, 'load', '-i', join(folder, 'one.tar')])
    await mustRun('docker', [...docker, 'save', 'plain-src:1', '-o', join(folder, 'saved.tar')])
    await forget('dk20')
    await exportTo('layout.tar', 'plain-src:1')
    await startClient('ctr16')
    await mustRun('ctr', [...ctr16(), 'images', 'import', join(folder, 'layout.tar')])
    const name = 'docker.io/library/plain-src:1'
    await mustRun('ctr', [...ctr16(), 'images', 'export', join(folder, 'ctr.tar'), name])
    await forget('ctr16')

    for (const file of ['saved.tar', 'ctr.tar']) {
      const data = join(folder, `from-${file}`)
      await importTo(data, file)
      await using far = await startCrossdock({ data, config: { cache: { offline: true } } })
      const image = await readImage(`${far.host}/docker.io/library/plain-src:1`)
      expect(image.document.config?.digest).toBe(id)
    }
  })

  // ---------------------------------------------------------------------------------- size

  test('the archive of plain layers is no larger than docker save through xz', async () => {
    await startClient('dk20')
    await forget('dk20')
    await crossdock('stage', '--config', join(folder, 'near.yaml'), 'plain-src:1-none')
    await exportTo('size.tar.xz', 'plain-src:1-none')
    const docker = ['-H', `unix://${join(CLIENTS_DIR, 'dk20/sock')}`]
    await pipe(join(folder, 'size.tar.xz'), 'docker', [...docker, 'load'])
    const saved = join(folder, 'size-saved.tar')
    await mustRun('docker', [...docker, 'save', 'plain-src:1', '-o', saved])
    await forget('dk20')
    await mustRun('xz', ['-T0', saved])

    const ours = await stat(join(folder, 'size.tar.xz'))
    const theirs = await stat(`${saved}.xz`)
    expect(ours.size).toBeLessThanOrEqual(theirs.size * 1.02)
  })

  // ---------------------------------------------------------------------------------- full disks

  test('a full disk ends export and import with a clear error and nothing left over', async () => {
    const small = join(folder, 'small')
    await mkdir(small)
    await mustRun('mount', ['-t', 'tmpfs', '-o', 'size=3m', 'tmpfs', small])
    try {
      await exportTo('full.tar', 'plain-src:1')
      const run = (...args: readonly string[]) =>
        runCommand(process.execPath, [join(ROOT, 'src/main.ts'), ...args], { env: ENV })
      const config = ['--config', join(folder, 'near.yaml')]
      const exported = await run('export', ...config, '-o', join(small, 'b.tar'), 'plain-src:1')
      expect(exported.status).toBe(1)
      expect(exported.stderr).toMatch(/disk is full/)
      expect(await readdir(small)).toEqual([])

      const far = ['--config', join(folder, 'far.yaml'), '--data', join(small, 'far')]
      const imported = await run('import', ...far, join(folder, 'full.tar'))
      expect(imported.status).toBe(1)
      expect(imported.stderr).toMatch(/full|space/)
      const left = await readdir(join(small, 'far'), { recursive: true })
      expect(left.filter((name) => /[0-9a-f]{64}/.test(name))).toEqual([])
    } finally {
      await mustRun('umount', [small])
    }
  })
})

function ctr16(namespace = 'k8s.io'): readonly string[] {
  return ['-a', join(CLIENTS_DIR, 'ctr16/sock'), '-n', namespace]
}

/** `xzcat FILE | PROGRAM`, as one would type it. */
async function pipe(file: string, program: string, args: readonly string[]): Promise<void> {
  const xzcat = spawn('xzcat', [file], { stdio: ['ignore', 'pipe', 'inherit'] })
  const child = spawn(program, args, { stdio: [xzcat.stdout, 'ignore', 'pipe'] })
  let said = ''
  child.stderr?.on('data', (chunk) => {
    said += String(chunk)
  })
  const code = await new Promise((resolve) => child.once('close', resolve))
  if (code !== 0) throw new Error(`xzcat | ${program} ${args.join(' ')}: ${said}`)
}
