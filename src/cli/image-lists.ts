/** The images that a command is about: its arguments, and those of a list, of Kubernetes manifests, of a Compose file. */
import type { NamedImage } from '../admin/named-image.ts'
import { resolve } from 'node:path'
import { platformsFor } from '../admin/stage.ts'
import type { App } from '../app.ts'
import { readFiles } from '../bundle/read-files.ts'
import { findReferences } from '../bundle/references.ts'
import type { StageTask } from '../convert/staging.ts'
import { collect, limit } from '../lib/streams.ts'
import { decodeTextFile } from '../lib/text-file.ts'
import { describeError, UsageError } from './output.ts'
import { parseImage } from './references.ts'
import type { System } from './system.ts'

/** Of a list; the rendered charts of whole platforms are smaller. */
const MAX_LIST = 32 * 1024 * 1024

/** A reference as it was asked for. */
interface Wanted {
  readonly text: string
  /** That a list says for it. */
  readonly platforms: readonly string[]
  /** `deploy.yaml:12`, for a list's. */
  readonly from?: string
}

export type WantedImage = NamedImage &
  Pick<StageTask, 'platforms' | 'isPlatformAssumed'> &
  Pick<Wanted, 'from'>

export interface ListOptions {
  readonly file?: string
  readonly platform?: readonly string[]
}

/** Throws UsageError where there is none, `what` being what cannot be done then: `stage`. */
export async function readWanted(
  refs: readonly string[],
  { file }: ListOptions,
  system: System,
  what: string,
): Promise<readonly Wanted[]> {
  const listed = file === undefined ? [] : await readRefs(file, system)
  const wanted = [...refs.map((text) => ({ text, platforms: [] })), ...listed]
  if (wanted.length > 0) return wanted
  throw new UsageError(
    file === undefined
      ? `nothing to ${what}; name images or give a list with -f`
      : `${nameOf(file)} names no image; give a list, or YAML with "image" keys`,
  )
}

/** With platforms: those of the list, else those asked for, else the ones that are converted by default. Throws UsageError. */
export function parseWanted(
  wanted: readonly Wanted[],
  { platform }: ListOptions,
  app: App,
): readonly WantedImage[] {
  const { defaultPlatforms } = app.config.convert
  return wanted.map(({ text, platforms, from }) => ({
    ...parseImage(text, app),
    ...asUsage(() => platformsFor(platforms.length > 0 ? platforms : platform, defaultPlatforms)),
    ...(from !== undefined && { from }),
  }))
}

/** Throws UsageError for whatever a parser throws. */
export function asUsage<T>(parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    throw new UsageError(describeError(error), { cause: error })
  }
}

/** Images of a list, of Kubernetes manifests, of a Compose file or of a rendered chart. */
async function readRefs(file: string, system: System): Promise<readonly Wanted[]> {
  const name = nameOf(file)
  const text = await readText(file, system)
  try {
    return findReferences(name, text).map((one) => ({ ...one, from: `${name}:${one.line}` }))
  } catch (error) {
    throw new UsageError(describeError(error), { cause: error })
  }
}

async function readText(file: string, system: System): Promise<string> {
  const bytes = file === '-' ? system.stdin() : readFiles([resolve(system.cwd, file)])
  const fits = limit(bytes, MAX_LIST, () => new UsageError('it is larger than 32 MiB; split it'))
  try {
    return decodeTextFile(await collect(fits, MAX_LIST))
  } catch (error) {
    const what = `cannot read the list ${nameOf(file)}: ${describeError(error)}`
    throw new UsageError(what, { cause: error })
  }
}

function nameOf(file: string): string {
  return file === '-' ? 'standard input' : file
}
