/** Real registry clients: how each is called, what it can read, and how it forgets what it pulled. */
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { CLIENTS_DIR, ROOTFS } from './fixtures.ts'
import { type CommandResult, mustRun, runCommand } from './fixtures-command.ts'
import { type Daemon, realClients, startDaemon } from './fixtures-daemons.ts'

export interface Client {
  /** The name that real-clients.sh knows. */
  readonly name: string
  readonly title: string
  readonly daemon?: Daemon
  /** Docker before 23 cannot read zstd layers. */
  readonly readsZstd: boolean
  /** Can start a container from what it pulled, here. */
  readonly runs: boolean
  readonly userAgent: RegExp
}

const base = { readsZstd: true, runs: false }

export const CLIENTS = [
  { ...base, name: 'skopeo', title: 'skopeo 1.9', userAgent: /^(?:skopeo|containers)\// },
  { ...base, name: 'skopeo22', title: 'skopeo 1.22', userAgent: /^skopeo\// },
  { ...base, name: 'podman4', title: 'podman 4', userAgent: /^containers\// },
  { ...base, name: 'podman', title: 'podman 5', userAgent: /^containers\// },
  daemon('ctr16', 'containerd 1.6', 'ctr16', /^containerd\//),
  daemon('ctr21', 'containerd 2.1', 'ctr21', /^containerd\//),
  daemon('ctr24', 'containerd 2.4', 'ctr24', /^containerd\//),
  { ...daemon('cri', 'CRI of containerd 2.1', 'ctr21', /^containerd\//), runs: false },
  { ...daemon('cri24', 'CRI of containerd 2.4', 'ctr24', /^containerd\//), runs: false },
  { ...daemon('dk20', 'Docker 20.10', 'dk20', /^docker\/20/), readsZstd: false },
  daemon('dkcls', 'Docker 28', 'dkcls', /^docker\/28/),
  daemon('dkctd', 'Docker 28 with the containerd store', 'dkctd', /^docker\/28/),
  { ...base, name: 'crane', title: 'crane', userAgent: /go-containerregistry/ },
  { ...base, name: 'oras', title: 'oras', userAgent: /^oras\// },
] as const satisfies readonly Client[]

export type ClientName = (typeof CLIENTS)[number]['name']

function daemon<Name extends string>(name: Name, title: string, runsIn: Daemon, userAgent: RegExp) {
  return { name, title, daemon: runsIn, readsZstd: true, runs: true, userAgent }
}

export function getClient(name: ClientName): Client {
  const client = CLIENTS.find((one) => one.name === name)
  if (client === undefined) throw new Error(`no client ${name}`)
  return client
}

export async function startClient(name: ClientName): Promise<void> {
  const client = getClient(name)
  if (client.daemon !== undefined) await startDaemon(client.daemon)
}

/** Pulls, whatever comes of it. */
export async function tryPull(
  name: ClientName,
  image: string,
  env: Readonly<Record<string, string>> = {},
): Promise<CommandResult> {
  // Not vfs, the script's default for podman 4, which copies the whole tree for every layer.
  const call = realClients(['pull', name, image], { RC_PODMAN_DRIVER: 'overlay', ...env })
  return runCommand(call.script, call.args, { env: call.env })
}

/** Pulls from an empty store; throws with all that the client said when it fails. */
export async function pull(
  name: ClientName,
  image: string,
  env: Readonly<Record<string, string>> = {},
): Promise<CommandResult> {
  const result = await tryPull(name, image, env)
  if (result.status === 0) return result
  throw new Error(`${name} cannot pull ${image}: ${result.stdout}\n${result.stderr}`.slice(-3000))
}

/** Starts a container from a pulled image and returns what it prints. */
export async function runContainer(
  name: ClientName,
  image: string,
  command: readonly string[],
): Promise<string> {
  const call = realClients(['run', name, image, ...command])
  return (await mustRun(call.script, call.args, { env: call.env })).stdout
}

/** Empties the client's store, so that the next pull brings every byte. */
export async function forget(name: ClientName): Promise<void> {
  const { daemon } = getClient(name)
  if (name === 'podman4') {
    const store = join(CLIENTS_DIR, 'podman4')
    // podman leaves its store mounted onto itself.
    await runCommand('umount', [join(store, 'overlay')])
    for (const folder of [store, `${store}r`]) await rm(folder, { recursive: true, force: true })
  } else if (name === 'podman') {
    for (const folder of ['podman', 'podmanr']) {
      await rm(join(ROOTFS, 'rc', folder), { recursive: true, force: true })
    }
  } else if (daemon === 'dk20' || daemon === 'dkcls' || daemon === 'dkctd') {
    await forgetDocker(daemon)
  } else if (daemon !== undefined) {
    await forgetContainerd(daemon)
  }
}

async function forgetDocker(daemon: Daemon): Promise<void> {
  const docker = ['-H', `unix://${socketOf(daemon)}`, 'image']
  const { stdout } = await mustRun('docker', [...docker, 'ls', '--all', '--quiet'])
  const ids = [...new Set(stdout.split('\n').filter((line) => line !== ''))]
  if (ids.length > 0) await mustRun('docker', [...docker, 'rm', '--force', ...ids])
}

/** `--sync` collects the garbage before it returns. */
async function forgetContainerd(daemon: Daemon): Promise<void> {
  for (const namespace of ['default', 'k8s.io']) {
    const ctr = ['-a', socketOf(daemon), '-n', namespace, 'images']
    const { stdout } = await mustRun('ctr', [...ctr, 'ls', '-q'])
    const names = stdout.split('\n').filter((line) => line !== '')
    if (names.length > 0) await mustRun('ctr', [...ctr, 'rm', '--sync', ...names])
  }
}

function socketOf(daemon: Daemon): string {
  if (daemon === 'ctr16' || daemon === 'dk20') return join(CLIENTS_DIR, daemon, 'sock')
  return join(ROOTFS, 'rc', `${daemon}.sock`)
}

/** Writes a file of the client's own world; returns the path that the client knows it by. */
export async function writeClientFile(
  name: ClientName,
  path: string,
  content: string,
): Promise<string> {
  const inside = join('/rc', path)
  const outside = livesInRootfs(name) ? join(ROOTFS, inside) : join(CLIENTS_DIR, path)
  await mkdir(dirname(outside), { recursive: true })
  await writeFile(outside, content)
  return livesInRootfs(name) ? inside : outside
}

/** Undoes `writeClientFile`, folders too. */
export async function removeClientFile(name: ClientName, path: string): Promise<void> {
  const outside = livesInRootfs(name) ? join(ROOTFS, 'rc', path) : join(CLIENTS_DIR, path)
  await rm(outside, { recursive: true, force: true })
}

function livesInRootfs(name: ClientName): boolean {
  return !['skopeo', 'podman4', 'ctr16', 'dk20'].includes(name)
}
