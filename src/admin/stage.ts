/** Images pulled and converted ahead, several at a time. The same for the command and the API. */
import type { Staged, StageTask, Staging } from '../convert/staging.ts'
import { CrossdockError } from '../errors.ts'
import { parsePlatform } from '../oci/platform.ts'
import type { Clock } from '../ports/clock.ts'
import type { StageAsk } from './asks.ts'
import { formatImage, type NamedImage } from './named-image.ts'

export interface StageDeps {
  readonly clock: Clock
  /** What is staged of an index where nobody says it. */
  readonly defaultPlatforms: readonly string[]
  readonly parseImage: (text: string) => NamedImage
  readonly staging: Pick<Staging, 'stage'>
}

export type StageOutcome = { readonly reference: string; readonly name: string } & (
  | (Staged & { readonly conversion: string; readonly seconds: number })
  | { readonly error: string }
)

const USUAL_JOBS = 2

/** In the order in which they were named; those that a failure kept from their turn are left out. */
export async function stage(deps: StageDeps, ask: StageAsk): Promise<readonly StageOutcome[]> {
  const { jobs = USUAL_JOBS, failFast = false } = ask
  const images = ask.images.map(({ image, platforms }) => ({
    ...deps.parseImage(image),
    ...platformsFor(platforms ?? ask.platforms, deps.defaultPlatforms),
  }))
  const outcomes: StageOutcome[] = []
  const queue = images.entries()
  let isOver = false
  const worker = async () => {
    for (const [index, image] of queue) {
      if (isOver) return
      const outcome = await stageOne(deps, image)
      outcomes[index] = outcome
      isOver ||= failFast && 'error' in outcome
    }
  }
  await Promise.all(Array.from({ length: jobs }, worker))
  return outcomes.filter((one) => one !== undefined)
}

async function stageOne(
  { staging, clock }: StageDeps,
  image: NamedImage & StageTask,
): Promise<StageOutcome> {
  const subject = { reference: image.text, name: formatImage(image) }
  const began = clock.monotonic()
  try {
    const { conversion = 'original', ...staged } = await staging.stage(image)
    return { ...subject, ...staged, conversion, seconds: (clock.monotonic() - began) / 1000 }
  } catch (error) {
    return { ...subject, error: error instanceof Error ? error.message : String(error) }
  }
}

/** Throws `requestInvalid` for what is no platform. */
export function platformsFor(
  asked: readonly string[] | undefined,
  byDefault: readonly string[],
): Pick<StageTask, 'platforms' | 'isPlatformAssumed'> {
  const wanted = asked ?? byDefault
  const isPlatformAssumed = asked === undefined
  if (wanted.includes('all')) return { platforms: 'all', isPlatformAssumed }
  try {
    return { platforms: wanted.map(parsePlatform), isPlatformAssumed }
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new CrossdockError('requestInvalid', `--platform: ${why}`, { cause })
  }
}
