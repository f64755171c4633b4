/** How to point each client at this server, filled in and ready to paste: for `crossdock config client` and the page at `/`. */
import { BUILT_INS } from '../config/profiles.ts'
import { buildkitSteps } from './buildkit.ts'
import { containerdSteps, kubernetesSteps, nerdctlSteps } from './containerd.ts'
import { dockerSteps } from './docker.ts'
import { crioSteps, podmanSteps } from './podman.ts'
import { formatSteps, type Setup, type Step } from './setup.ts'
import { nydusSteps, sociSteps, stargzSteps } from './snapshotters.ts'

interface Client {
  readonly name: string
  readonly steps: (setup: Setup) => Step[]
  /** Formats that it is for; without them it takes what any client takes. */
  readonly formats?: readonly string[]
}

const ALL: readonly Client[] = [
  { name: 'docker', steps: dockerSteps },
  { name: 'containerd', steps: containerdSteps },
  { name: 'nerdctl', steps: nerdctlSteps },
  { name: 'podman', steps: podmanSteps },
  { name: 'cri-o', steps: crioSteps },
  { name: 'buildkit', steps: buildkitSteps },
  { name: 'kubernetes', steps: kubernetesSteps },
  { name: 'stargz', steps: stargzSteps, formats: ['estargz', 'zstdchunked-stargz'] },
  { name: 'soci', steps: sociSteps, formats: ['soci'] },
  { name: 'nydus', steps: nydusSteps, formats: ['nydus', 'nydus-ref'] },
]

const FORMATS: ReadonlySet<string | undefined> = new Set(
  BUILT_INS.map(({ format }) => format?.name),
)

const KNOWN = ALL.filter(({ formats }) => formats?.some((one) => FORMATS.has(one)) ?? true)

/** Names of clients that this version has something for. */
export const CLIENTS: readonly string[] = KNOWN.map(({ name }) => name)

/** Formats that a client is for, the first one being its own; `undefined`: any. */
export function formatsOf(client: string): readonly string[] | undefined {
  return get(client).formats?.filter((one) => FORMATS.has(one))
}

/** Those that are for a format: without `format` those that take what every client takes. */
export function clientsFor(format: string | undefined): readonly string[] {
  return KNOWN.filter(
    ({ formats }) => formats === undefined || (format !== undefined && formats.includes(format)),
  ).map(({ name }) => name)
}

export function stepsOf(client: string, setup: Setup): Step[] {
  return get(client).steps(setup)
}

export function formatSetup(client: string, setup: Setup): string {
  return formatSteps(stepsOf(client, setup))
}

function get(client: string): Client {
  const found = KNOWN.find(({ name }) => name === client)
  if (found === undefined) throw new Error(`there is no client ${client}`)
  return found
}
