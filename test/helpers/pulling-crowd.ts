/** Pullers who go on pulling while something is wrong, and what became of each try. */
import { type PulledImage, PoisonError, pull, RefusedError } from './faults-puller.ts'

export interface Crowd {
  /** Stops when what is under way has ended. Throws when anybody got a wrong byte, or something that is neither an answer nor a cut. */
  end(): Promise<Outcomes>
  readonly served: number
}

export interface Outcomes {
  readonly served: number
  /** What each heard who was refused with a status, or cut. */
  readonly told: readonly string[]
  /** What was served whole, by name and reference. */
  readonly images: ReadonlyMap<string, object>
}

/** Each pulls all of these in turns, from another one on; `base` is asked for each time. */
export function crowd(
  base: () => string,
  wanted: readonly (readonly [name: string, reference: string])[],
  pullers: number,
): Crowd {
  let isOver = false
  let served = 0
  const told: string[] = []
  const images = new Map<string, object>()
  const pullOnce = async (name: string, reference: string) => {
    try {
      const image = bytesOf(await pull(base(), name, reference))
      served += 1
      const known = images.get(`${name}:${reference}`)
      if (known !== undefined && JSON.stringify(known) !== JSON.stringify(image)) {
        throw new PoisonError(`${name}:${reference} is another image than before`)
      }
      images.set(`${name}:${reference}`, image)
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error
      told.push(error.message)
    }
  }
  const running = Array.from({ length: pullers }, async (_, i) => {
    for (let turn = i; !isOver; turn += 1) {
      const [name, reference] = wanted[turn % wanted.length] ?? ['', '']
      await pullOnce(name, reference)
    }
  })
  for (const one of running) one.catch(() => undefined)
  return {
    get served() {
      return served
    },
    async end() {
      isOver = true
      await Promise.all(running)
      return { served, told, images }
    },
  }
}

/** Without how it came about. */
export function bytesOf({ conversion: _, ...image }: PulledImage): object {
  return image
}
