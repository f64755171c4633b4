/** The way across an air gap with the programs that people have on the far side. */
import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  type ClientName,
  forget,
  pull,
  removeClientFile,
  startClient,
  writeClientFile,
} from '../helpers/clients.ts'
import { type Crossdock, startCrossdock } from '../helpers/crossdock-process.ts'
import { CLIENTS_DIR, describeWith, REGISTRY, ROOT, ROOTFS } from '../helpers/fixtures.ts'
import { mustRun, runCommand } from '../helpers/fixtures-command.ts'
import { restartDaemon } from '../helpers/fixtures-daemons.ts'
import { type Gateway, openGateway } from '../helpers/fixtures-gateway.ts'
import { readImage, readManifest } from '../helpers/fixtures-registry.ts'

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

  test('clients pull original names from an offline server that dials nobody', async () => {
    await exportTo('all.tar.zst', ...IMAGES)
    const data = join(folder, 'far')
    await importTo(data, 'all.tar.zst')
    const outside = await openTrap()
    await using far = await startCrossdock({
      data,
      config: {
        cache: { offline: true },
        defaultUpstream: 'docker.io',
        upstreams: { 'docker.io': { url: `http://${outside.host}` } },
      },
      env: { HTTP_PROXY: `http://${outside.host}`, HTTPS_PROXY: `http://${outside.host}` },
    })

    for (const image of IMAGES) {
      const source = await readManifest(`${REGISTRY}/${image}`)
      expect((await readManifest(`${far.host}/${image}`)).digest).toBe(source.digest)
    }
    await pullByContainerd(far)
    await pullByPodman(far)
    await pullByDocker(far)
    expect(outside.count()).toBe(0)
    await outside.close()
  })

  async function pullByContainerd(far: Crossdock): Promise<void> {
    const hosts = `[host."http://${far.host}"]\ncapabilities = ["pull", "resolve"]\n`
    await startClient('ctr16')
    await forget('ctr16')
    const file = 'hosts-airgap/docker.io/hosts.toml'
    const path = await writeClientFile('ctr16', file, hosts)
    try {
      const env = { RC_HOSTS: path.replace('/docker.io/hosts.toml', '') }
      for (const image of IMAGES) await pull('ctr16', `docker.io/library/${image}`, env)
      const { stdout } = await mustRun('ctr', [...ctr16('default'), 'images', 'ls'])
      for (const image of IMAGES) {
        const { digest } = await readManifest(`${REGISTRY}/${image}`)
        expect(stdout).toMatch(new RegExp(`docker\\.io/library/${image} .*${digest}`))
      }
    } finally {
      await removeClientFile('ctr16', 'hosts-airgap')
      await forget('ctr16')
    }
  }

  async function pullByPodman(far: Crossdock): Promise<void> {
    const name: ClientName = 'podman'
    const config = `[[registry]]\nlocation = "docker.io"\n[[registry.mirror]]\nlocation = "${far.host}"\ninsecure = true\n`
    const path = await writeClientFile(name, 'airgap/registries.conf', config)
    try {
      await forget(name)
      for (const image of IMAGES) {
        await pull(name, `docker.io/library/${image}`, { CONTAINERS_REGISTRIES_CONF: path })
      }
    } finally {
      await removeClientFile(name, 'airgap')
      await forget(name)
    }
  }

  async function pullByDocker(far: Crossdock): Promise<void> {
    await restartDaemon('dkcls', { RC_MIRROR: far.url })
    try {
      await forget('dkcls')
      for (const image of IMAGES) await pull('dkcls', `docker.io/library/${image}`)
    } finally {
      await forget('dkcls')
      await restartDaemon('dkcls')
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

  // ---------------------------------------------------------------------------------- size and time

  test('the archive of plain layers is no larger than docker save through xz; zstd is far faster', async () => {
    await startClient('dk20')
    await forget('dk20')
    await crossdock('stage', '--config', join(folder, 'near.yaml'), 'debian:12-amd64-none')
    const xz = await exportTo('size.tar.xz', 'debian:12-amd64-none')
    const zstd = await exportTo('size.tar.zst', 'debian:12-amd64-none')
    const docker = ['-H', `unix://${join(CLIENTS_DIR, 'dk20/sock')}`]
    await pipe(join(folder, 'size.tar.xz'), 'docker', [...docker, 'load'])
    const saved = join(folder, 'size-saved.tar')
    await mustRun('docker', [...docker, 'save', 'debian:12-amd64', '-o', saved])
    await forget('dk20')
    const reference = await mustRun('xz', ['-T0', saved])

    const sizes = {
      xz: (await stat(join(folder, 'size.tar.xz'))).size,
      zstd: (await stat(join(folder, 'size.tar.zst'))).size,
      dockerSaveXz: (await stat(`${saved}.xz`)).size,
    }
    console.log('air gap sizes', sizes, {
      xz: xz.seconds,
      zstd: zstd.seconds,
      dockerSaveXz: reference.seconds,
    })
    expect(sizes.xz).toBeLessThanOrEqual(sizes.dockerSaveXz * 1.02)
    expect(xz.seconds / zstd.seconds).toBeGreaterThanOrEqual(3)
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

/** Counts who connects, and hangs up. */
async function openTrap() {
  let connections = 0
  const server = createServer((socket) => {
    connections += 1
    socket.destroy()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the trap has no port')
  return {
    host: `127.0.0.1:${address.port}`,
    count: () => connections,
    close: () => new Promise((resolve) => server.close(resolve)),
  }
}
