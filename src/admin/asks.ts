/** What an action is told, out of JSON that anybody may have written: every key is known, every value of its type. */
import { CrossdockError } from '../errors.ts'
import { parsePlatform } from '../oci/platform.ts'

export interface ImagesAsk {
  /** As one would type them after `docker pull`. */
  readonly images: readonly string[]
}

export interface StageAsk {
  readonly images: readonly WantedImage[]
  /** For images that say none; without it those that are converted by default. `['all']`: every one. */
  readonly platforms?: readonly string[]
  /** Images at a time. */
  readonly jobs?: number
  /** Stops at the first one that fails. */
  readonly failFast?: boolean
}

export interface WantedImage {
  readonly image: string
  readonly platforms?: readonly string[]
}

export interface VerifyAsk {
  /** Without it everything in the store. */
  readonly image?: string
}

export interface CollectAsk {
  readonly dryRun?: boolean
}

const MOST_IMAGES = 10_000
const MOST_PLATFORMS = 64
const MOST_JOBS = 64
const LONGEST = 1_000

export function parseImagesAsk(body: unknown): ImagesAsk {
  const { images } = objectIn(body, 'the body', ['images'])
  return { images: textsIn(images, 'images', MOST_IMAGES) }
}

export function parseStageAsk(body: unknown): StageAsk {
  const { images, platforms, jobs, failFast } = objectIn(body, 'the body', [
    ...['images', 'platforms', 'jobs', 'failFast'],
  ])
  return {
    images: listIn(images, 'images', MOST_IMAGES).map(parseWanted),
    ...(platforms !== undefined && { platforms: platformsIn(platforms, 'platforms') }),
    ...(jobs !== undefined && { jobs: jobsIn(jobs) }),
    ...(failFast !== undefined && { failFast: flagIn(failFast, 'failFast') }),
  }
}

export function parseVerifyAsk(body: unknown): VerifyAsk {
  const { image } = objectIn(body, 'the body', ['image'])
  return image === undefined ? {} : { image: textIn(image, 'image') }
}

export function parseCollectAsk(body: unknown): CollectAsk {
  const { dryRun } = objectIn(body, 'the body', ['dryRun'])
  return dryRun === undefined ? {} : { dryRun: flagIn(dryRun, 'dryRun') }
}

/** Of what is told nothing. Throws `requestInvalid`. */
export function parseEmptyAsk(body: unknown): void {
  objectIn(body, 'the body', [])
}

function parseWanted(value: unknown, index: number): WantedImage {
  const where = `images[${index}]`
  if (typeof value === 'string') return { image: textIn(value, where) }
  const { image, platforms } = objectIn(value, where, ['image', 'platforms'])
  return {
    image: textIn(image, `${where}.image`),
    ...(platforms !== undefined && { platforms: platformsIn(platforms, `${where}.platforms`) }),
  }
}

function platformsIn(value: unknown, where: string): readonly string[] {
  const texts = textsIn(value, where, MOST_PLATFORMS)
  for (const [i, text] of texts.entries()) {
    if (text !== 'all' && !isPlatform(text)) {
      throw wrong(`${where}[${i}]`, 'a platform such as linux/arm64, or all')
    }
  }
  return texts
}

function isPlatform(text: string): boolean {
  try {
    parsePlatform(text)
    return true
  } catch {
    return false
  }
}

function objectIn(
  value: unknown,
  where: string,
  known: readonly string[],
): Readonly<Record<string, unknown>> {
  const what = known.length === 0 ? 'an empty object' : `an object with ${known.join(', ')}`
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong(where, what)
  const unknown = Object.keys(value).find((key) => !known.includes(key))
  if (unknown === undefined) return value as Readonly<Record<string, unknown>>
  throw wrong(where, `${what} and nothing else`)
}

function listIn(value: unknown, where: string, most: number): readonly unknown[] {
  if (Array.isArray(value) && value.length > 0 && value.length <= most) return value
  throw wrong(where, `a list of 1 to ${most} entries`)
}

function textsIn(value: unknown, where: string, most: number): readonly string[] {
  return listIn(value, where, most).map((one, i) => textIn(one, `${where}[${i}]`))
}

function textIn(value: unknown, where: string): string {
  if (typeof value === 'string' && value !== '' && value.length <= LONGEST) return value
  throw wrong(where, `a text of 1 to ${LONGEST} characters`)
}

function flagIn(value: unknown, where: string): boolean {
  if (typeof value === 'boolean') return value
  throw wrong(where, 'true or false')
}

function jobsIn(value: unknown): number {
  const isCount = typeof value === 'number' && Number.isInteger(value)
  if (isCount && value >= 1 && value <= MOST_JOBS) return value
  throw wrong('jobs', `a whole number from 1 to ${MOST_JOBS}`)
}

function wrong(where: string, what: string): CrossdockError {
  return new CrossdockError('requestInvalid', `${where} must be ${what}; see docs/api.md`, {
    reason: 'body',
  })
}
