/** Clients on a host without a network. */
import type { ClientName } from './clients.ts'
import { type Daemon, realClients, stopDaemon } from './fixtures-daemons.ts'
import type { Namespace } from './network-namespace.ts'

/** A daemon lives in one namespace: it is started anew in this one, and must be stopped before that goes. */
export async function restartIn(
  { run }: Namespace,
  name: Daemon,
  env: Readonly<Record<string, string>> = {},
): Promise<void> {
  await stopDaemon(name)
  const call = realClients(['up', name], env)
  await run(call.script, call.args, { env: call.env, timeoutMs: 120_000 })
}

/** Pulls; throws with all that the client said when it fails. */
export async function pullIn(
  { run }: Namespace,
  name: ClientName,
  image: string,
  env: Readonly<Record<string, string>> = {},
): Promise<void> {
  const call = realClients(['pull', name, image], { RC_PODMAN_DRIVER: 'overlay', ...env })
  await run(call.script, call.args, { env: call.env })
}
