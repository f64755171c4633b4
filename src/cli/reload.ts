/** Reads the configuration of a running server again and goes by it, as a whole or not at all. */
import type { Reloaded } from '../admin/whole.ts'
import type { App } from '../app.ts'
import { changesOf } from '../config/changes.ts'
import { refuseOpenCredentials, refuseOpening } from '../config/credentials.ts'
import { checkListenerFiles } from '../config/listener-files.ts'
import { ConfigError, formatPath } from '../config/problem.ts'
import type { Config } from '../config/schema.ts'
import { CrossdockError } from '../errors.ts'
import type { Listener } from '../http/server.ts'
import type { Keeper } from '../upkeep/keeper.ts'
import { type CommonOptions, decided, loadFor, servedDockerConfig } from './session.ts'
import type { Post } from '../workers/post.ts'
import type { System } from './system.ts'

/** What runs, and what it was started with. */
export interface Running {
  readonly app: App
  readonly listeners: readonly Listener[]
  readonly keeper: Keeper
  readonly options: CommonOptions
  readonly system: System
  /** To a supervisor, which hears what is in force from then on, and tells the log once for all. */
  readonly post: Pick<Post, 'configured'> | undefined
}

export class Reload {
  readonly #running: Running
  /** In force: what was read last, with what only a restart changes as it was at the start. */
  #config: Config
  #last: Promise<unknown> = Promise.resolve()

  constructor(running: Running, config: Config) {
    this.#running = running
    this.#config = config
  }

  /**
   * One after the other. Rejects with ConfigError when what is there now cannot be used; everything is as before then. The log
   * says either.
   */
  async run(): Promise<Reloaded> {
    const reloaded = this.#last.then(() => this.#reload())
    this.#last = reloaded.catch(() => undefined)
    const { app, post } = this.#running
    const { telemetry } = app
    try {
      const what = await reloaded
      const { level } = this.#config.log
      if (post === undefined) telemetry.reloaded({ ...what, level })
      else telemetry.setLevel(level)
      return what
    } catch (error) {
      if (post === undefined) telemetry.reloadRefused(error)
      throw error
    }
  }

  /** The same for whoever asked over HTTP. Throws `requestInvalid` with what is wrong. */
  async asked(): Promise<Reloaded> {
    try {
      return await this.run()
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      throw new CrossdockError('requestInvalid', error.message, { cause: error })
    }
  }

  async #reload(): Promise<Reloaded> {
    const { app, listeners, keeper, options, system } = this.#running
    const { config: wanted, origin } = decided(await loadFor(options, system), system)
    const { config, changed, restart } = changesOf(this.#config, wanted)
    const placeOf = origin.of
    refuseOpenCredentials(config, placeOf)
    refuseOpening(this.#config, config, placeOf)
    await checkListenerFiles(wanted, placeOf)
    const dockerConfig = servedDockerConfig(config, system)
    const { hasOtherUsers, hasOtherAdmins } = await app.reconfigure(config, {
      dockerConfig,
      placeOf,
    })
    this.#config = config
    this.#running.post?.configured(config)
    keeper.policyChanged()
    // Files that cannot be used are looked at again within the minute; those of before go on until then.
    const certificates = await Promise.allSettled(listeners.map((one) => one.refresh()))
    const isNew = certificates.map((one) => one.status === 'fulfilled' && one.value)
    const files = [
      ...(hasOtherUsers ? [formatPath(['auth', 'htpasswd'])] : []),
      ...(hasOtherAdmins ? [formatPath(['adminUsers'])] : []),
      ...listeners.filter((_, i) => isNew[i]).map(({ url }) => `certificate of ${url}`),
    ]
    return { changed: [...new Set([...changed, ...files])], restart }
  }
}
