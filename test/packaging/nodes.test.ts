/** What the chart's DaemonSet does to a node: containerd's files are written, kept right, and taken back. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { startCrossdock } from '../helpers/crossdock-process.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { ROOT } from '../helpers/fixtures.ts'
import { mustRun } from '../helpers/fixtures-command.ts'
import { describeWithPrograms } from '../helpers/packaging.ts'

const SCRIPT = join(ROOT, 'deploy/helm/crossdock/files/nodes.sh')

let place: string
let certs: string
let running: ChildProcess | undefined
beforeEach(async () => {
  place = await mkdtemp(join(tmpdir(), 'crossdock-nodes-'))
  certs = join(place, 'certs.d')
  await mkdir(certs)
})
afterEach(async () => {
  await stop()
  await rm(place, { recursive: true, force: true })
})

/** Runs the script until it has written all; the shell is Debian's, as in the image. */
async function start(settings: Readonly<Record<string, string>>): Promise<void> {
  const env = { PROFILE: 'zstd', SCHEME: 'http', OWNER: 'default/my-nodes', ...settings }
  const child = spawn('sh', [SCRIPT], {
    env: { PATH: process.env.PATH, CERTS_DIR: certs, ...env },
    // Nothing of this process: its sleep may outlive it.
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  running = child
  let said = ''
  child.stdout.setEncoding('utf8')
  for await (const text of child.stdout.iterator({ destroyOnReturn: false })) {
    said += text
    const wanted = settings.REGISTRIES?.split(' ').at(-1)
    if (said.includes(`${wanted}/hosts.toml: `)) return
  }
  throw new Error(`the script ended: ${said}`)
}

async function stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
  const child = running
  running = undefined
  if (child === undefined) return null
  const ended = once(child, 'exit')
  child.stdout?.resume()
  child.kill(signal)
  await ended
  // After SIGKILL its sleep goes on for a while, with the pipe.
  child.stdout?.destroy()
  return child.exitCode
}

const read = (registry: string) => readFile(join(certs, registry, 'hosts.toml'), 'utf8')

test('each registry is pulled through crossdock, and by itself when that is down', async () => {
  await start({ REGISTRIES: 'docker.io ghcr.io', ADDRESS: 'proxy.example:5000' })

  expect(await read('ghcr.io')).toBe(
    `# Written by default/my-nodes, and removed with it.
server = "https://ghcr.io"

[host."http://proxy.example:5000/as/zstd"]
  capabilities = ["pull", "resolve"]
`,
  )
  expect(await read('docker.io')).toContain('server = "https://registry-1.docker.io"\n')
})

test('the end leaves nothing behind, and brings back what others had written', async () => {
  await mkdir(join(certs, 'quay.io'))
  await writeFile(join(certs, 'quay.io/hosts.toml'), 'server = "https://theirs"\n')
  await mkdir(join(certs, 'other.example'))
  await start({ REGISTRIES: 'docker.io quay.io', ADDRESS: 'proxy.example:5000' })
  expect(await read('quay.io')).toContain('proxy.example')

  expect(await stop()).toBe(0)

  expect((await readdir(certs)).sort()).toEqual(['other.example', 'quay.io'])
  expect(await readdir(join(certs, 'quay.io'))).toEqual(['hosts.toml'])
  expect(await read('quay.io')).toBe('server = "https://theirs"\n')
})

test('what a killed one has left is taken over, and registries that are no longer named go', async () => {
  await mkdir(join(certs, 'quay.io'))
  await writeFile(join(certs, 'quay.io/hosts.toml'), 'server = "https://theirs"\n')
  await start({ REGISTRIES: 'docker.io quay.io ghcr.io', ADDRESS: 'proxy.example:5000' })
  await stop('SIGKILL')

  await start({ REGISTRIES: 'docker.io quay.io', ADDRESS: 'proxy.example:5001' })

  expect((await readdir(certs)).sort()).toEqual(['docker.io', 'quay.io'])
  expect(await read('quay.io')).toContain('proxy.example:5001')
  await stop()
  expect(await read('quay.io')).toBe('server = "https://theirs"\n')
})

test.each([
  ['10.1.2.3', 'http://10.1.2.3:30500/as/zstd'],
  ['fd00::1', 'http://[fd00::1]:30500/as/zstd'],
])("a node's own address %s is one that containerd takes", async (ip, url) => {
  await start({ REGISTRIES: 'docker.io', NODE_IP: ip, NODE_PORT: '30500' })

  expect(await read('docker.io')).toContain(`[host."${url}"]`)
})

test('an authority of our own is put beside and named', async () => {
  const ca = join(place, 'ca.crt')
  await writeFile(ca, 'PEM\n')
  await start({ REGISTRIES: 'docker.io', ADDRESS: 'proxy.example:5443', SCHEME: 'https', CA: ca })

  const file = join(certs, 'docker.io/crossdock-ca.crt')
  expect(await read('docker.io')).toContain(`  ca = "${file}"\n`)
  expect(await readFile(file, 'utf8')).toBe('PEM\n')
  await stop()
  expect(await readdir(certs)).toEqual([])
})

describeWithPrograms(['containerd', 'ctr'], 'a node', () => {
  test('has its containerd pull an image through crossdock, converted, by its usual name', async () => {
    await using registry = await FakeRegistry.start()
    await registry.pushImage('library/app', '1', { layers: [{ size: 50_000 }] })
    await using crossdock = await startCrossdock({
      config: { defaultUpstream: 'docker.io', upstreams: { 'docker.io': { url: registry.url } } },
    })
    await start({ REGISTRIES: 'docker.io', ADDRESS: crossdock.host })
    await using containerd = await Containerd.start(place)

    const image = 'docker.io/library/app:1'
    await containerd.ctr('images', 'pull', '--hosts-dir', certs, image)
    const { stdout } = await containerd.ctr('images', 'list')

    expect(stdout).toContain(image)
    const pulls = crossdock.requests().filter(({ conversion }) => conversion !== undefined)
    expect(pulls.map(({ conversion }) => conversion).join(' ')).toMatch(/converted|hit/)
    expect(pulls[0]?.userAgent).toContain('containerd')
  })
})

/** A containerd of its own, without plugins that a node's kubelet would need. */
class Containerd implements AsyncDisposable {
  readonly #process: ChildProcess
  readonly #socket: string

  private constructor(process: ChildProcess, socket: string) {
    this.#process = process
    this.#socket = socket
  }

  static async start(folder: string): Promise<Containerd> {
    const socket = join(folder, 'containerd.sock')
    const config = join(folder, 'containerd.toml')
    await writeFile(config, 'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n')
    const folders = ['--root', join(folder, 'root'), '--state', join(folder, 'state')]
    const args = ['--config', config, '--address', socket, ...folders]
    const child = spawn('containerd', args, { stdio: ['ignore', 'ignore', 'pipe'] })
    child.stderr.setEncoding('utf8')
    let said = ''
    for await (const text of child.stderr.iterator({ destroyOnReturn: false })) {
      said += text
      if (said.includes('containerd successfully booted')) {
        child.stderr.resume()
        return new Containerd(child, socket)
      }
    }
    throw new Error(`containerd ended: ${said}`)
  }

  ctr(...args: readonly string[]) {
    return mustRun('ctr', ['--address', this.#socket, ...args])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#process, 'exit')
    this.#process.kill('SIGTERM')
    await ended
  }
}
