/** Real clients and credentials: how each is told a name and a password or a certificate, and pulls with them. */
import { cp, mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { ClientName } from './clients.ts'
import { CLIENTS_DIR, ROOTFS } from './fixtures.ts'
import { type CommandResult, runCommand } from './fixtures-command.ts'

export interface Account {
  readonly user: string
  readonly password: string
}

/** A client's folder of credentials, its own for each test. */
export interface LoginClient {
  readonly name: ClientName
  /** Absent where a login asks nobody or does not exist: such a client says who it is when it pulls. */
  login?(host: string, account: Account): Promise<CommandResult>
  pull(image: string, account: Account): Promise<CommandResult>
}

/** The folder of credentials, as clients on this machine and those in the root file system know it. */
const OUTSIDE = join(CLIENTS_DIR, 'login')
const INSIDE = '/rc/login'

const plain = '--tls-verify=false'

export const LOGIN_CLIENTS: readonly LoginClient[] = [
  docker('dk20'),
  docker('dkcls'),
  docker('dkctd'),
  podman('podman4'),
  podman('podman'),
  skopeo('skopeo'),
  skopeo('skopeo22'),
  oras(),
  crane(),
  ctr('ctr16'),
  ctr('ctr21'),
  ctr('ctr24'),
  cri('cri', 'ctr21'),
  cri('cri24', 'ctr24'),
]

/** Forgets every login. */
export async function forgetLogins(): Promise<void> {
  for (const folder of [OUTSIDE, join(ROOTFS, INSIDE)]) {
    await rm(folder, { recursive: true, force: true })
    await mkdir(folder, { recursive: true })
  }
}

/** The client's own program with its store, ready for a subcommand. */
export function programOf(name: ClientName): readonly string[] {
  switch (name) {
    case 'dk20':
      return ['docker', '-H', `unix://${CLIENTS_DIR}/dk20/sock`, '--config', `${OUTSIDE}/docker`]
    case 'dkcls':
    case 'dkctd':
      return ['docker', '-H', `unix:///rc/${name}.sock`, '--config', `${INSIDE}/${name}`]
    case 'podman4': {
      const store = join(CLIENTS_DIR, 'podman4')
      return ['podman', '--root', store, '--runroot', `${store}r`, '--storage-driver', 'overlay']
    }
    case 'podman':
      return 'podman --root /rc/podman --runroot /rc/podmanr --storage-driver overlay'.split(' ')
    case 'skopeo22':
      return ['skopeo']
    case 'ctr16':
      return ['ctr', '-a', join(CLIENTS_DIR, 'ctr16', 'sock')]
    case 'ctr21':
      return ['ctr', '-a', '/rc/ctr21.sock']
    case 'ctr24':
      return ['/rc/ctrd/ctr', '-a', '/rc/ctr24.sock']
    default:
      return [name]
  }
}

/** Runs a client where it lives. */
export function runClient(
  name: ClientName,
  args: readonly string[],
  input?: string,
): Promise<CommandResult> {
  const [command = '', ...rest] = [...programOf(name), ...args]
  const options = { ...(input !== undefined && { input }), timeoutMs: 60_000 }
  if (folderOf(name) === OUTSIDE) return runCommand(command, rest, options)
  const call = ['-m', '--propagation', 'private', 'bash', '-c', ENTER, '_', ROOTFS]
  return runCommand('unshare', [...call, command, ...rest], options)
}

/** A mount namespace in which the root file system is one: podman and crun look for its mounts. */
const ENTER = `r=$1; shift
mount --bind "$r" "$r" && mount -t proc proc "$r/proc" || exit 97
mount --rbind /sys "$r/sys" && mount --rbind /dev "$r/dev" || exit 97
exec env HOME=/root DOCKER_CONFIG=${INSIDE}/crane chroot "$r" "$@"`

/** Puts a copy of a folder into the client's world; returns the path that the client knows it by. */
export async function copyToClient(name: ClientName, from: string, to: string): Promise<string> {
  const folder = join(folderOf(name), to)
  await cp(from, join(folderOf(name) === OUTSIDE ? '/' : ROOTFS, folder), { recursive: true })
  return folder
}

function folderOf(name: ClientName): string {
  return ['skopeo', 'podman4', 'ctr16', 'dk20'].includes(name) ? OUTSIDE : INSIDE
}

function docker(name: ClientName): LoginClient {
  return {
    name,
    login: (host, { user, password }) =>
      runClient(name, ['login', '-u', user, '--password-stdin', host], password),
    pull: (image) => runClient(name, ['pull', image]),
  }
}

function podman(name: ClientName): LoginClient {
  const file = join(folderOf(name), name)
  return {
    name,
    login: (host, { user, password }) => {
      const args = ['--authfile', file, plain, '-u', user, '--password-stdin', host]
      return runClient(name, ['login', ...args], password)
    },
    pull: (image) => runClient(name, ['pull', '-q', '--authfile', file, plain, image]),
  }
}

function skopeo(name: ClientName): LoginClient {
  const folder = folderOf(name)
  const file = join(folder, name)
  return {
    name,
    login: (host, { user, password }) => {
      const args = ['--authfile', file, plain, '-u', user, '--password-stdin', host]
      return runClient(name, ['login', ...args], password)
    },
    pull: (image) => {
      const from = ['-q', '--src-tls-verify=false', '--src-authfile', file, `docker://${image}`]
      return runClient(name, ['copy', ...from, `dir:${folder}/${name}-out`])
    },
  }
}

function oras(): LoginClient {
  const file = `${INSIDE}/oras`
  return {
    name: 'oras',
    login: (host, { user, password }) => {
      const args = ['--plain-http', '--registry-config', file, '-u', user, '--password-stdin', host]
      return runClient('oras', ['login', ...args], password)
    },
    pull: (image) => {
      const from = ['--from-plain-http', '--from-registry-config', file, image]
      return runClient('oras', ['copy', ...from, '--to-oci-layout', `${INSIDE}/oras-out:1`])
    },
  }
}

/** Its login writes the file and asks nobody. */
function crane(): LoginClient {
  return {
    name: 'crane',
    async pull(image, { user, password }) {
      const host = image.slice(0, image.indexOf('/'))
      const args = ['auth', 'login', host, '-u', user, '--password-stdin']
      const login = await runClient('crane', args, password)
      if (login.status !== 0) throw new Error(`crane auth login: ${login.stderr}`)
      return runClient('crane', ['--insecure', 'pull', image, `${INSIDE}/crane.tar`])
    },
  }
}

function ctr(name: ClientName): LoginClient {
  return {
    name,
    pull: (image, { user, password }) => {
      const args = ['--plain-http', '--snapshotter', 'overlayfs', '--user', `${user}:${password}`]
      return runClient(name, ['images', 'pull', ...args, image])
    },
  }
}

/** The pull secret of a pod, as the kubelet hands it to containerd. */
function cri(name: ClientName, daemon: 'ctr21' | 'ctr24'): LoginClient {
  return {
    name,
    pull: (image, { user, password }) => {
      const socket = join(ROOTFS, 'rc', `${daemon}.sock`)
      const pulled = JSON.stringify({ image: { image }, auth: { username: user, password } })
      const args = [join(CLIENTS_DIR, 'grpc', 'cri.proto'), socket, pulled]
      return runCommand(process.execPath, ['-e', CRI, ...args], { timeoutMs: 60_000 })
    },
  }
}

const CRI = `
const [proto, socket, pulled] = process.argv.slice(1)
const load = require('node:module').createRequire(proto)
const grpc = load('@grpc/grpc-js')
const api = grpc.loadPackageDefinition(load('@grpc/proto-loader').loadSync(proto)).runtime.v1
const options = { 'grpc.default_authority': 'localhost' }
const client = new api.ImageService('unix://' + socket, grpc.credentials.createInsecure(), options)
client.PullImage(JSON.parse(pulled), (error, reply) => {
  console.log(error ? error.details : reply.imageRef)
  process.exit(error ? 1 : 0)
})
`
