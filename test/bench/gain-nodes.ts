/** Nodes that pull and run an image in one form each, with nothing of before. */
import { forget, pull, runContainer, startClient } from '../helpers/clients.ts'
import { mustRun } from '../helpers/fixtures-command.ts'
import { realClients, startSnapshotter } from '../helpers/fixtures-daemons.ts'
import { LazyNode, type NodeKind } from '../helpers/nodes.ts'

/** One node for one pull. */
export interface GainNode extends AsyncDisposable {
  /** The address under which it reaches the registry that it was started for. */
  readonly registry: string
  pull(image: string): Promise<unknown>
  run(image: string, command: readonly string[]): Promise<string>
}

export type StartNode = (registry: string) => Promise<GainNode>

/** containerd 2.4, which unpacks all layers before it runs anything. */
export const whole: StartNode = async (registry) => {
  await startClient('ctr24')
  await forget('ctr24')
  return {
    registry,
    pull: (image) => pull('ctr24', image),
    run: (image, command) => runContainer('ctr24', image, command),
    [Symbol.asyncDispose]: () => forget('ctr24'),
  }
}

/** containerd 2.1 with stargz-snapshotter. */
export const stargz: StartNode = async (registry) => {
  await startSnapshotter()
  const call = async (...args: readonly string[]) => {
    const { script, args: words, env } = realClients(args)
    return (await mustRun(script, words, { env })).stdout
  }
  return {
    registry,
    pull: (image) => call('pull', 'lazy', image),
    run: (image, command) => call('run', 'lazy', image, ...command),
    [Symbol.asyncDispose]: () => forget('ctr21'),
  }
}

/** containerd 1.6 with nydus-snapshotter, through the CRI. */
export const nydus: StartNode = (registry) => script('nydus', { NC_HTTP: registry }, registry)

/** The proxy that its script has before the registry; it is the one host without TLS. */
const SOCI_PROXY = '127.0.0.1:15201'

/** containerd 1.6 with soci-snapshotter, through the CRI. */
export const soci: StartNode = (registry) =>
  script('soci', { SC_UP: `http://${registry}` }, SOCI_PROXY)

async function script(
  kind: NodeKind,
  env: Readonly<Record<string, string>>,
  registry: string,
): Promise<GainNode> {
  const node = await LazyNode.start(kind, env)
  return {
    registry,
    pull: (image) => node.call('pull', image),
    run: (image, command) => node.call('run', image, ...command),
    [Symbol.asyncDispose]: () => node[Symbol.asyncDispose](),
  }
}
