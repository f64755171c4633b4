/** Where a command's work is done: in this process on the store, or in a running server by its admin API. */
import type { App } from '../app.ts'
import { CrossdockError } from '../errors.ts'
import type { Acting, ActingOptions } from './acting.ts'
import { actionsOn } from './actions-on.ts'
import { UsageError } from './output.ts'
import { RemoteServer } from './remote-server.ts'
import type { CommonOptions } from './session.ts'
import type { System } from './system.ts'

/** `open`: how the store is opened where no server is named. */
export async function openActing(
  options: ActingOptions,
  system: System,
  open: (options: CommonOptions, system: System) => Promise<App>,
): Promise<Acting> {
  if (options.server !== undefined) return new RemoteServer(options.server)
  const app = await open(options, system)
  const actions = actionsOn(app)
  return {
    onInterruption:
      'what was converted stays in the store, the rest is dropped; the same command goes on from there',
    progress: app.progress,
    act: (name, ask, watch) => actions.run(name, ask, watch).catch(asUsage),
    [Symbol.asyncDispose]: () => app[Symbol.asyncDispose](),
  }
}

function asUsage(error: unknown): never {
  if (!(error instanceof CrossdockError) || error.kind !== 'requestInvalid') throw error
  throw new UsageError(error.message, { cause: error })
}
