/** What people name images by, as commands see it: repository, tag or digest, and the profile that a puller would get. */
import type { NamedImage } from '../admin/named-image.ts'
import type { App } from '../app.ts'
import { wishFor } from '../convert/asks.ts'
import { CrossdockError } from '../errors.ts'
import { chooseProfile, compileRules, locate } from '../naming.ts'
import { parseReference } from '../oci/reference.ts'
import { UsageError } from './output.ts'

/** Would pass for the tag of an image that is called sha256. */
const BARE_DIGEST = /^sha256:[0-9a-f]{64}$/

/** `latest` where neither tag nor digest is said. Throws UsageError. */
export function parseImage(text: string, app: App): NamedImage {
  if (BARE_DIGEST.test(text)) {
    throw new UsageError(`${text} is a digest alone; say of which image: NAME@${text}`)
  }
  try {
    const { name, tag, digest } = parseReference(text)
    const { upstreams, config, profiles } = app
    const repository = locate(name, undefined, { upstreams, offline: config.cache.offline })
    return {
      text,
      repository,
      // Like every client: a digest says all there is to say.
      reference: digest === undefined ? { tag: tag ?? 'latest' } : { digest },
      wanted: wishFor(chooseProfile({}, repository, compileRules(config.rules), profiles)),
    }
  } catch (error) {
    if (!(error instanceof CrossdockError)) throw error
    throw new UsageError(`${JSON.stringify(text.slice(0, 200))}: ${error.message}`, {
      cause: error,
    })
  }
}
