/**
 * The one of two servers that looks after the store stands still at each step of what it does, the other one goes on with it, and the
 * first wakes up later: it deletes nothing, who was served once is served again, nothing is remembered by halves.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, type ExpectStatic, test } from 'vitest'
import type { Digest } from '../../src/oci/digest.ts'
import type { FakeImage } from '../helpers/fake-image.ts'
import { pull } from '../helpers/faults-puller.ts'
import { Dice, roundsOf, seedOf } from '../helpers/faults-seed.ts'
import { bytesOf } from '../helpers/pulling-crowd.ts'
import { hasSharedPair, Replicas } from '../helpers/replicas.ts'
import { digestsOnS3, overwriteOnS3 } from '../helpers/s3-store.ts'
import { Stoppable, type Step, until } from '../helpers/stopping.ts'

const ROW_MS = 900_000
/** For what a server that was woken is about to do, ms. */
const WOKEN_MS = 3_000
const START_MS = 180_000
const FORMS = ['1', '1-zstd'] as const

/** All of them, or a sample: each waits for a lease of 15 s. */
const EVERY_STEP = Boolean(process.env.FAULTS_EVERY_STEP)
const SAMPLE = 1

type Row = readonly [title: string, step: Step]
const row = (title: string, op: Step['op'], when: Step['when'], path: string, nth = 1): Row => [
  title,
  { op, when, path, nth },
]
const around = (what: string, op: Step['op'], path: string, nth = 1): readonly Row[] => [
  row(`before ${what}`, op, 'before', path, nth),
  row(`after ${what}`, op, 'after', path, nth),
]

const BLOB = 'store/.*/blobs/'

interface Role {
  readonly what: string
  readonly config: object
  readonly rows: readonly Row[]
  /** What gives it something to do, once the image and its forms lie there; left out: that they do. */
  readonly begin?: (replicas: Replicas, image: FakeImage) => Promise<void>
  /** All of it can be had without upstream. */
  readonly isKept: boolean
}

const ROLES: readonly Role[] = [
  {
    what: 'collecting',
    config: { cache: { tagWindow: '1d', maxSize: 1, lease: '0s' } },
    rows: [
      ...around('the lease is taken', 'lease', '^collect '),
      ...around('a manifest is let go', 'commit', 'INSERT INTO crossdock.released'),
      ...around('a blob is claimed', 'commit', '^COMMIT'),
      ...around('a blob is deleted', 'remove', BLOB),
      ...around('the lease is given back', 'commit', 'UPDATE crossdock.leases'),
    ],
    isKept: false,
  },
  {
    what: 'keeping one copy',
    config: { cache: { tagWindow: '1d', dedup: 'on', lease: '0s' } },
    rows: [
      ...around('the lease of a piece', 'lease', '^layer '),
      ...around('a piece is put', 'rename', BLOB),
      ...around("a piece's row", 'commit', 'INSERT INTO crossdock.layers'),
      ...around('the recipe is kept', 'rename', 'store/.*/recipes/'),
      ...around("a piece's link", 'commit', 'INSERT INTO crossdock.links'),
      ...around('the lease is taken', 'lease', '^collect '),
      ...around('an original is claimed', 'commit', '^COMMIT'),
      ...around('an original is deleted', 'remove', BLOB),
    ],
    isKept: true,
  },
  {
    what: 'scrubbing and healing',
    config: { cache: { tagWindow: '1d', scrub: { interval: '1s', rate: '1GiB' } } },
    rows: [
      ...around('what has rotted is removed', 'remove', BLOB),
      ...around('it is put again', 'rename', BLOB),
      ...around('its link', 'commit', 'INSERT INTO crossdock.links'),
      ...around('the scrub is written down', 'commit', 'INSERT INTO crossdock.chores'),
    ],
    begin: async (replicas, { layers }) => {
      await overwriteOnS3(replicas.place, layers[0]?.digest ?? '', Buffer.from('rotten'))
    },
    isKept: true,
  },
]

/** Two servers that look after one store in turns, at one step at a time. */
class Pair implements AsyncDisposable {
  readonly role: Role
  readonly #all: Stoppable[] = []
  #replicas: Replicas | undefined
  #last: Promise<unknown> = Promise.resolve()
  #images = 0

  constructor(role: Role) {
    this.role = role
  }

  async start(): Promise<void> {
    const { config } = this.role
    this.#replicas = await Replicas.start({ count: 0, config: { ...config } })
    for (let i = 0; i < 2; i += 1) this.#all.push(await Stoppable.add(this.#replicas))
  }

  takenOver(step: Step, expect: ExpectStatic): Promise<void> {
    const done = this.#last.then(() => this.#takenOver(step, expect))
    this.#last = done.catch(() => undefined)
    return done
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const one of this.#all) await one[Symbol.asyncDispose]()
    await this.#replicas?.[Symbol.asyncDispose]()
  }

  async #takenOver(step: Step, expect: ExpectStatic): Promise<void> {
    const replicas = this.#replicas
    if (replicas === undefined) throw new Error('it was not started')
    const { begin, isKept } = this.role
    const [stopped, other] = await this.#inTurn()
    this.#images += 1
    const name = `stopped/${this.#images}`
    const layers = [{ size: 300_000 }, { size: 200_000 }]
    const image = await replicas.registry.pushImage(name, '1', { layers })
    const pulled = async ({ replica }: Stoppable) => {
      const all: object[] = []
      for (const form of FORMS) all.push(bytesOf(await pull(replica.proxy.base, name, form)))
      return all
    }
    if (begin === undefined) await stopped.arm(step)
    const before = await pulled(other)
    if (begin !== undefined) {
      await stopped.arm(step)
      await begin(replicas, image)
    }
    try {
      await stopped.stopped()
      expect(await pulled(other)).toEqual(before)
      await until(() => hasTurn(other), 'nobody takes its turn')
    } finally {
      stopped.wake()
    }
    await stopped.arm(undefined)
    // What it is about to do.
    await sleep(WOKEN_MS)
    if (isKept) replicas.registry.fault({ name }, { status: 503 })
    for (const one of this.#all) expect(await pulled(one)).toEqual(before)
    // One that is let go meanwhile is not there any more.
    const there = digestsOnS3(replicas.place, 'blobs/').catch(() => new Map<string, Digest>())
    for (const [key, digest] of await there) expect(key).toBe(`blobs/${digest.replace(':', '/')}`)
    console.info(`${this.role.what}, ${step.when} ${step.op} ${step.path}: taken over`)
  }

  /** Who was woken may take a moment to see that another one has it. */
  async #inTurn(): Promise<readonly [Stoppable, Stoppable]> {
    for (;;) {
      const [one, other] = this.#all
      if (one === undefined || other === undefined) throw new Error('there are two')
      const [isOne, isOther] = [await hasTurn(one), await hasTurn(other)]
      if (isOne !== isOther) return isOne ? [one, other] : [other, one]
      await sleep(100)
    }
  }
}

async function hasTurn({ replica }: Stoppable): Promise<boolean> {
  return (await replica.proxy.crossdock.metric('crossdock_upkeep_turn')) === 1
}

describe.skipIf(!hasSharedPair)('the server that looks after the store stands still', () => {
  const dice = new Dice(seedOf('upkeep that stands still'))
  for (const role of ROLES) {
    const pair = new Pair(role)
    beforeAll(() => pair.start(), START_MS)
    afterAll(() => pair[Symbol.asyncDispose]())
    const rows = EVERY_STEP ? role.rows : dice.shuffled(role.rows).slice(0, roundsOf(SAMPLE))
    const options = { timeout: ROW_MS }
    test.concurrent.for(rows)(`%s, ${role.what}`, options, async ([, step], { expect }) => {
      await pair.takenOver(step, expect)
    })
  }
})
