/**
 * Tells systemd that the server answers (sd_notify(3)). Its own program does, since Node has no datagram sockets of Unix; so the unit
 * needs `NotifyAccess=all`.
 */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

/** A manager that does not take it must not hold up the server, ms. */
const LIMIT_MS = 10_000

/** Without effect unless systemd asked for it; rejects when it could not be told, and would end the server after its start's limit. */
export async function tellReady(env: NodeJS.ProcessEnv): Promise<void> {
  if (env.NOTIFY_SOCKET === undefined) return
  await promisify(execFile)('systemd-notify', ['--ready'], { env, timeout: LIMIT_MS })
}
