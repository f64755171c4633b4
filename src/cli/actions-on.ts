/** The actions on an opened store, for commands and for the server's admin API alike. */
import { type ActionDeps, Actions } from '../admin/actions.ts'
import type { NamedImage } from '../admin/named-image.ts'
import type { App } from '../app.ts'
import { CrossdockError } from '../errors.ts'
import { UsageError } from './output.ts'
import { parseImage } from './references.ts'

export function actionsOn(app: App): Actions {
  const { config } = app
  const deps: ActionDeps = {
    ...app,
    // As they are when somebody acts: a server may have read its configuration again.
    get cache() {
      return config.cache
    },
    get defaultPlatforms() {
      return config.convert.defaultPlatforms
    },
    offline: config.cache.offline,
    parseImage: (text) => parseAskedImage(text, app),
  }
  return new Actions(deps)
}

/** Throws `requestInvalid` where a command would speak of wrong usage. */
export function parseAskedImage(text: string, app: App): NamedImage {
  try {
    return parseImage(text, app)
  } catch (cause) {
    if (!(cause instanceof UsageError)) throw cause
    throw new CrossdockError('requestInvalid', cause.message, { cause, reason: 'image' })
  }
}
