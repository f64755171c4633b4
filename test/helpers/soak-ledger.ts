/** What a soak has seen: what clients had, what it may never be other than, what went wrong. */
import type { FakeImage } from './fake-image.ts'
import { PoisonError, type PulledImage, RefusedError } from './faults-puller.ts'

export interface Acknowledged {
  readonly name: string
  readonly digest: string
  readonly layers: readonly string[]
}

interface Annotated {
  readonly annotations?: Readonly<Record<string, string>>
}

const SOURCE = 'dev.crossdock.source.digest'
const PROFILE = 'dev.crossdock.profile'
/** What is said of one kind of violation; a thousand more say nothing new. */
const MOST_VIOLATIONS = 50

export class SoakLedger {
  /** By repository and digest: images that a client has pulled to the last byte. */
  readonly acknowledged = new Map<string, Acknowledged>()
  readonly counts = new Map<string, number>()
  readonly violations: string[] = []
  readonly #known: ReadonlyMap<string, { readonly name: string; readonly image: FakeImage }>
  /** Digest by source digest and profile: I11. */
  readonly #made = new Map<string, string>()

  constructor(known: ReadonlyMap<string, { readonly name: string; readonly image: FakeImage }>) {
    this.#known = known
  }

  count(what: string, by = 1): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + by)
  }

  violate(what: string): void {
    this.count('violations')
    if (this.violations.length < MOST_VIOLATIONS) this.violations.push(what)
  }

  /** An image that came to its end: one that upstream had under this name, and as a conversion always the same. */
  acknowledge(name: string, image: PulledImage): void {
    this.count('images pulled')
    const { annotations } = JSON.parse(image.bytes.toString()) as Annotated
    const source = annotations?.[SOURCE] ?? image.digest
    const profile = annotations?.[PROFILE] ?? 'original'
    const known = this.#known.get(source)
    const what = `${name}@${image.digest} (${profile} of ${source})`
    if (known?.name !== name) {
      this.violate(`${what} is no image that upstream ever had under this name`)
      return
    }
    const before = this.#made.get(`${source} ${profile}`)
    if (before !== undefined && before !== image.digest) {
      this.violate(`${what} was ${before} before`)
    }
    this.#made.set(`${source} ${profile}`, image.digest)
    const isFree = profile === 'estargz'
    const diffIds = image.layers.map((layer) => layer.diffId)
    const wanted = known.image.layers.map((layer) => layer.diffId)
    if (!isFree && String(diffIds) !== String(wanted)) this.violate(`${what} has other contents`)
    this.acknowledged.set(`${name}@${image.digest}`, {
      name,
      digest: image.digest,
      layers: image.layers.map((layer) => layer.digest),
    })
  }

  /** True for a failure that was a refusal; wrong bytes and everything else are noted. */
  judge(doing: string, error: unknown, isCalm: boolean): void {
    if (error instanceof PoisonError) {
      this.violate(`${doing}: wrong bytes: ${error.message}`)
    } else if (error instanceof RefusedError || isBrokenConnection(error)) {
      this.count(isCalm ? 'refused without a reason' : 'refused while something was wrong')
      if (isCalm) this.violate(`${doing}: refused without a reason: ${messageOf(error)}`)
    } else {
      this.violate(`${doing}: ${messageOf(error)}`)
    }
  }
}

function isBrokenConnection(error: unknown): boolean {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined
  return code === 'ECONNREFUSED' || code === 'ECONNRESET' || code === 'EPIPE'
}

function messageOf(error: unknown): string {
  return error instanceof Error ? `${error.name} ${error.message}`.slice(0, 500) : String(error)
}
