/** Chance that can be replayed: every random test prints its seed, and `SEED=n` gives the same run again. */
/** Says the seed so that it stands in the log of a failure. */
export function seedOf(test: string): number {
  const given = Number(process.env.SEED)
  const isGiven = Number.isInteger(given) && given > 0
  const seed = isGiven ? given : Math.ceil(Math.random() * 0x7fffffff)
  console.info(`${test}: SEED=${seed}`)
  return seed
}

/** How many rounds a test makes: few in the tier for pull requests, `FAULTS_ROUNDS=n` times as many by name. */
export function roundsOf(few: number): number {
  const factor = Number(process.env.FAULTS_ROUNDS ?? 1)
  return Math.max(1, Math.round(few * factor))
}

/** How long so many rounds may take, ms. */
export function patienceOf(ms: number): number {
  return ms * Math.max(1, Number(process.env.FAULTS_ROUNDS ?? 1))
}

export class Dice {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** 0 <= n < below. */
  int(below: number): number {
    // mulberry32
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let t = this.#state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 0x100000000) * below)
  }

  chance(part: number): boolean {
    return this.int(1_000_000) < part * 1_000_000
  }

  pick<T>(list: readonly T[]): T {
    const found = list[this.int(list.length)]
    if (found === undefined) throw new Error('nothing to pick from')
    return found
  }

  shuffled<T>(list: readonly T[]): T[] {
    const rest = [...list]
    return list.map(() => {
      const [taken] = rest.splice(this.int(rest.length), 1)
      return taken as T
    })
  }
}
