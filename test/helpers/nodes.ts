/** Whole nodes with lazy snapshotters, on this machine and on loopback: containerd, the snapshotter, and containers that run. */
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Crossdock } from './crossdock-process.ts'
import { CACHE, SHARED } from './fixtures.ts'
import { mustRun, runCommand } from './fixtures-command.ts'
import { digestOf, readConfig, readImage } from './fixtures-registry.ts'
import { blobPath } from './fixtures-store.ts'

const NODES = {
  nydus: { script: 'oracles/nydus/nydus-client.sh', folder: 'NC_DIR' },
  soci: { script: 'oracles/soci-client.sh', folder: 'SC_DIR' },
} as const

export type NodeKind = keyof typeof NODES

/** Where the script of a node has its programs and its state. */
export function nodeFolder(kind: NodeKind): string {
  return join(CACHE, kind, 'client')
}

type Env = Readonly<Record<string, string>>

export class LazyNode implements AsyncDisposable {
  readonly #kind: NodeKind
  readonly #env: Env

  private constructor(kind: NodeKind, env: Env) {
    this.#kind = kind
    this.#env = { ...env, [NODES[kind].folder]: nodeFolder(kind) }
  }

  /** A node that has nothing yet; `env` as its script says. */
  static async start(kind: NodeKind, env: Env): Promise<LazyNode> {
    const node = new LazyNode(kind, env)
    await node.call('down')
    await node.call('up')
    await node.call('forget')
    return node
  }

  /** What the script printed; throws when it failed. */
  async call(...args: readonly string[]): Promise<string> {
    const script = join(SHARED, NODES[this.#kind].script)
    return (await mustRun(script, args, { env: this.#env })).stdout
  }

  /** The script's judgement of a cold pull and a first command, as `soci-client.sh lazy` gives it. */
  async lazy(image: string, ...command: readonly string[]): Promise<Record<string, unknown>> {
    const script = join(SHARED, NODES[this.#kind].script)
    const { stdout, stderr } = await runCommand(script, ['lazy', image, ...command], {
      env: this.#env,
    })
    if (!stdout.startsWith('{')) throw new Error(`no facts of ${image}: ${stderr.slice(-3000)}`)
    return JSON.parse(stdout)
  }

  /** What is wrong with the tree that a container of a pulled image sees: nothing when it is that of the layers. */
  async treeProblems(image: string, layers: readonly string[]): Promise<readonly string[]> {
    const folder = await mkdtemp(join(nodeFolder(this.#kind), 'tree-'))
    try {
      await this.#mount(image, folder)
      try {
        const sources = layers.flatMap((layer) => ['--source-tar', layer])
        const check = join(SHARED, 'oracles/nydus/erofs-check.py')
        const { status, stdout, stderr } = await runCommand(check, ['--tree', folder, ...sources])
        if (status === 2) throw new Error(`the tree of ${image} cannot be compared: ${stderr}`)
        return stdout.split('\n').filter((line) => line.startsWith('PROBLEM'))
      } finally {
        await this.call('umount', folder)
      }
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  }

  /** A writable snapshot of a pulled image, as a container gets it; the scripts' own way does not look into indexes. */
  async #mount(image: string, folder: string): Promise<void> {
    const { rootfs } = await readConfig(image)
    const chain = rootfs.diff_ids.reduce((below, id) => digestOf(Buffer.from(`${below} ${id}`)))
    const ctr = ['-a', join(nodeFolder(this.#kind), 'ctr.sock'), '-n', 'k8s.io', 'snapshots']
    const prepare = ['--snapshotter', this.#kind, 'prepare', '--target', folder]
    const { stdout } = await mustRun('ctr', [...ctr, ...prepare, `at:${folder}`, chain])
    await mustRun('sh', ['-c', stdout])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await runCommand(join(SHARED, NODES[this.#kind].script), ['forget'], { env: this.#env })
    await this.call('down')
  }
}

/** The original's layers: how many bytes a pull brings, and where they lie in the server's store once it has them. */
export async function layersOf(server: Crossdock, image: string) {
  const { document } = await readImage(`${server.host}/${image}`)
  const layers = document.layers ?? []
  return {
    bytes: layers.reduce((sum, { size }) => sum + size, 0),
    paths: layers.map(({ digest }) => blobPath(server.data, digest)),
  }
}
