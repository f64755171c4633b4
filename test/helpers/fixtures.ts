/** Where tests find what is outside the clone: the shared programs, the cache that test/setup.sh fills, the fixture registry. */
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, join, resolve } from 'node:path'
import { describe } from 'vitest'

export const ROOT = resolve(import.meta.dirname, '../..')
export const SHARED = resolve(ROOT, process.env.CROSSDOCK_TEST_SHARED ?? '../shared')
export const CACHE =
  process.env.CROSSDOCK_TEST_CACHE ?? join(homedir(), '.cache', 'crossdock-tests')
/** Clients, their daemons and the upstream registry (`RC_DIR` of real-clients.sh). */
export const CLIENTS_DIR = join(CACHE, 'clients')
export const ROOTFS = join(CLIENTS_DIR, 'rootfs')
export const LAYOUT = join(CACHE, 'fixtures', 'layout')
export const TOOLS = join(CACHE, 'tools', 'bin')
/** The upstream: docker-registry with every fixture. */
export const REGISTRY = `127.0.0.1:${process.env.RC_REG ?? '15000'}`

const NEEDS = {
  shared: [SHARED],
  distribution: [program('docker-registry')],
  registry: [SHARED, join(CACHE, 'fixtures', 'images.txt'), program('docker-registry')],
  oracles: [join(TOOLS, 'oracle-image'), join(TOOLS, 'oci-conformance')],
  encoders: [join(CACHE, 'encoders', 'gzips-kp1.20.0')],
  zlibs: ['pigz', 'python3', 'java', 'libdeflate-gzip', 'igzip'].map(program),
  nydus: [join(TOOLS, 'oracle-nydus')],
  clients: [SHARED, program('ctr'), program('dockerd'), join(ROOTFS, 'usr/bin/podman')],
  containerd: [join(ROOTFS, 'rc/ctrd/containerd')],
  nydusNode: [SHARED, ...programsOf('nydus', 'nydusd', 'containerd-nydus-grpc')],
  sociNode: [SHARED, ...programsOf('soci', 'soci-snapshotter-grpc')],
  cosign: [join(TOOLS, 'cosign'), program('docker-registry'), program('skopeo')],
  peers: [join(TOOLS, 'registry'), program('skopeo'), program('zstd')],
} as const

export type Need = keyof typeof NEEDS

/** What is not there, or `undefined`. */
export function findMissing(needs: readonly Need[]): string | undefined {
  return needs.flatMap((need) => NEEDS[need]).find((path) => !existsSync(path))
}

/** A suite that is skipped with a printed reason where its tools are absent, and that fails there when `CI` is set. */
export function describeWith(needs: readonly Need[], name: string, body: () => void): void {
  const missing = findMissing(needs)
  if (missing === undefined) {
    describe(name, body)
    return
  }
  const isNode = needs.some((need) => need.endsWith('Node'))
  const reason = `${missing} is not there; run test/${isNode ? 'nodes-setup' : 'setup'}.sh`
  if (process.env.CI === 'true') throw new Error(`cannot run "${name}": ${reason}`)
  console.warn(`skipped "${name}": ${reason}`)
  describe.skip(name, body)
}

/** What test/nodes-setup.sh builds for a node, and the containerd that it runs. */
function programsOf(node: string, ...names: readonly string[]): readonly string[] {
  return [...names.map((name) => join(CACHE, node, 'client/bin', name)), program('containerd')]
}

/** The path of a program in PATH, or where Debian would put it. */
export function program(name: string): string {
  const folders = (process.env.PATH ?? '').split(delimiter)
  return (
    [...folders, '/usr/sbin']
      .map((folder) => join(folder, name))
      .find((path) => existsSync(path)) ?? join('/usr/bin', name)
  )
}
