/**
 * The processes that serve together, as `node:cluster` has them: the supervisor accepts connections and hands them round, so that ports
 * are one's, whichever worker dies; TLS and HTTP are the workers' business.
 */
import cluster, { type Worker } from 'node:cluster'
import type { Channel, Child } from '../workers/child.ts'
import { Dealing } from './handed-connections.ts'
import type { FromWorker, ToWorker } from '../workers/words.ts'

export interface Processes {
  /** The line to whoever has started this process as one of its workers. */
  readonly supervisor: Channel | undefined
  /** Starts another process with this one's command line. */
  fork(): Child
}

/** Says to a process that its cluster is ours: whatever else starts it in one knows nothing of it. */
const SIGN = 'CROSSDOCK_WORKER'

export function processesOf(from: NodeJS.Process): Processes {
  const isWorker = cluster.isWorker && from.env[SIGN] !== undefined
  return {
    supervisor: isWorker ? channelOf(from) : undefined,
    fork: () => {
      // Copies lists and numbers as they are, Infinity for one.
      cluster.schedulingPolicy = cluster.SCHED_RR
      cluster.setupPrimary({ serialization: 'advanced' })
      return childOf(cluster.fork({ [SIGN]: '1' }))
    },
  }
}

function childOf(worker: Worker): Child {
  const { process } = worker
  // What cannot be said any more is missed by nobody.
  worker.on('error', () => undefined)
  const dealing = new Dealing(worker)
  return {
    pid: process.pid ?? 0,
    ended: new Promise((resolve) => {
      worker.on('exit', (code: number | null, signal: string | null) => resolve({ code, signal }))
    }),
    send: (message) => {
      if (worker.isConnected()) worker.send(message, () => undefined)
    },
    onMessage: (hear) => void worker.on('message', (message: FromWorker) => hear(message)),
    deal: (isDealt) => dealing.deal(isDealt),
    kill: () => void process.kill('SIGKILL'),
  }
}

function channelOf(from: NodeJS.Process): Channel {
  return {
    send: (message) => {
      if (from.connected) from.send?.(message, undefined, undefined, () => undefined)
    },
    onMessage: (hear) => void from.on('message', (message) => hear(message as ToWorker)),
  }
}
