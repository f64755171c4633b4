/** The daemons of real-clients.sh: started when a test wants them, stopped by process id when the run ends. */
import { appendFile, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { CLIENTS_DIR, ROOTFS, SHARED } from './fixtures.ts'
import { mustRun } from './fixtures-command.ts'

export type Daemon = 'registry' | 'ctr16' | 'ctr21' | 'ctr24' | 'dk20' | 'dkcls' | 'dkctd'

/** File with the names of daemons that this run started; set by the global set-up. */
const STARTED = 'CROSSDOCK_TEST_STARTED'
const SCRIPT = join(SHARED, 'clients', 'real-clients.sh')

/** What the kernel calls the daemons. */
const PROGRAMS = new Set(['docker-registry', 'containerd', 'dockerd', 'sgz'])

/** Runs real-clients.sh. */
export function realClients(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  return { script: SCRIPT, args, env: { RC_DIR: CLIENTS_DIR, ...env } }
}

/** Starts what does not run yet. */
export async function startDaemon(
  name: Daemon,
  env: Readonly<Record<string, string>> = {},
): Promise<void> {
  if ((await findPid(name)) !== undefined) return
  const started = process.env[STARTED]
  if (started !== undefined) await appendFile(started, `${name}\n`)
  const call = realClients(['up', name], env)
  await mustRun(call.script, call.args, { env: call.env, timeoutMs: 120_000 })
  if ((await findPid(name)) === undefined) {
    throw new Error(`${name} did not start; see ${join(CLIENTS_DIR, 'log', `${name}.log`)}`)
  }
}

/** Stops a daemon and whatever it started. */
export async function stopDaemon(name: Daemon): Promise<void> {
  for (const file of [...companions(name), pidFile(name)]) {
    const pid = await readPid(file)
    if (pid === undefined) continue
    process.kill(pid, 'SIGTERM')
    await waitForEnd(pid)
    await rm(file, { force: true })
  }
}

/** Starts a daemon anew, with an environment that only a start can give it. */
export async function restartDaemon(
  name: Daemon,
  env: Readonly<Record<string, string>> = {},
): Promise<void> {
  await stopDaemon(name)
  await startDaemon(name, env)
}

/**
 * Starts containerd 2.1 and its lazy snapshotter with nothing of before. The snapshotter asks the registry of each layer that
 * it still has when it starts, and gives up when one is gone: a run that was killed would spoil all that follow.
 */
export async function startSnapshotter(): Promise<void> {
  await stopDaemon('ctr21')
  for (const folder of ['ctr21', 'sgzroot']) {
    await rm(join(ROOTFS, 'rc', folder), { recursive: true, force: true })
  }
  await startDaemon('ctr21')
}

export async function readStarted(file: string): Promise<readonly Daemon[]> {
  const names = (await readFile(file, 'utf8')).split('\n').filter((line) => line !== '')
  return [...new Set(names)] as Daemon[]
}

export function findPid(name: Daemon): Promise<number | undefined> {
  return readPid(pidFile(name))
}

function pidFile(name: Daemon): string {
  return join(CLIENTS_DIR, 'pid', name)
}

/** Pid files of processes beside the daemon itself: dockerd writes its own, containerd 2.1 comes with a snapshotter. */
function companions(name: Daemon): readonly string[] {
  if (name === 'dk20') return [join(CLIENTS_DIR, 'dk20', 'pidfile')]
  if (name === 'dkcls' || name === 'dkctd') return [join(ROOTFS, 'rc', name, 'pidfile')]
  return name === 'ctr21' ? [join(ROOTFS, 'rc', 'sgz.pid')] : []
}

/** The process of a pid file, when it lives and is a daemon: after a power cut the number may be anybody's. */
async function readPid(file: string): Promise<number | undefined> {
  const pid = Number.parseInt(await readText(file), 10)
  if (!Number.isSafeInteger(pid) || pid <= 1) return undefined
  if (PROGRAMS.has((await readText(`/proc/${pid}/comm`)).trim())) return pid
  await rm(file, { force: true })
  return undefined
}

function readText(file: string): Promise<string> {
  return readFile(file, 'utf8').catch(() => '')
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** A process that is not our child tells nobody when it ends, so this asks; after 20 s it is killed. */
async function waitForEnd(pid: number): Promise<void> {
  for (let i = 0; i < 200 && isAlive(pid); i++) await new Promise((r) => setTimeout(r, 100))
  if (isAlive(pid)) process.kill(pid, 'SIGKILL')
}
