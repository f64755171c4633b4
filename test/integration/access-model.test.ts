/** P7: whatever happens in whatever order, nobody gets a byte or learns that one is there unless policy and upstream let them. */
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  type Book,
  CLAIMANT,
  FORMS,
  type Form,
  REPOSITORIES,
  type RepositoryName,
  type Thing,
  writeBook,
} from '../helpers/access-book.ts'
import { AccessServer, credentialsOf, USERS, type User } from '../helpers/access-server.ts'
import { type Answer, ask, errorOf } from '../helpers/faults-http.ts'
import { patienceOf, roundsOf } from '../helpers/faults-seed.ts'

const RUNS = roundsOf(6)
const STEPS = 60
/** Of all runs, and of making a failure smaller. */
const PATIENCE_MS = patienceOf(60_000)
const SEED = Number(process.env.SEED) || 1107

const CONDITIONS = [
  {},
  { range: 'bytes=0-1' },
  { range: 'bytes=9999999-' },
  { 'if-none-match': '*' },
]
const METHODS = ['GET', 'HEAD'] as const

type Step =
  | { readonly op: 'pull'; readonly user: User; readonly name: RepositoryName; readonly form: Form }
  | {
      readonly op: 'ask'
      readonly user: User
      readonly name: RepositoryName
      /** Of the book's things; what is beyond it wraps around. */
      readonly thing: number
      readonly method: (typeof METHODS)[number]
      readonly condition: number
    }
  | { readonly op: 'tags'; readonly user: User; readonly name: RepositoryName }
  | {
      readonly op: 'stranger'
      readonly user: User
      readonly name: RepositoryName
      readonly thing: number
    }
  | { readonly op: 'policy'; readonly user: User; readonly name: RepositoryName }
  /** What upstream says to crossdock's own account from now on; 200: come in. */
  | {
      readonly op: 'upstream'
      readonly name: RepositoryName
      readonly status: 200 | 401 | 403 | 404
    }
  | { readonly op: 'outage'; readonly is: boolean }
  | { readonly op: 'gc' }
  | { readonly op: 'restart' }

const user = fc.constantFrom(...USERS)
const name = fc.constantFrom(...REPOSITORIES)
const thing = fc.nat(10_000)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      op: fc.constant('pull' as const),
      user,
      name,
      form: fc.constantFrom(...FORMS),
    }),
  },
  {
    weight: 16,
    arbitrary: fc.record({
      ...{ op: fc.constant('ask' as const), user, name, thing },
      method: fc.constantFrom(...METHODS),
      condition: fc.nat(CONDITIONS.length - 1),
    }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('tags' as const), user, name }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('stranger' as const), user, name, thing }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('policy' as const), user, name }) },
  {
    weight: 4,
    arbitrary: fc.record({
      op: fc.constant('upstream' as const),
      name,
      status: fc.constantFrom(200, 200, 401, 403, 404),
    }),
  },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('outage' as const), is: fc.boolean() }) },
  { weight: 1, arbitrary: fc.constant({ op: 'gc' as const }) },
  { weight: 1, arbitrary: fc.constant({ op: 'restart' as const }) },
)

let book: Book

beforeAll(async () => {
  book = await writeBook()
}, 60_000)

afterAll(() => book?.[Symbol.asyncDispose]())

const counts = { asked: 0, given: 0, refused: 0, hidden: 0, foreign: 0, owed: 0 }

test('every answer is one that policy and upstream let crossdock give', async () => {
  console.info(`access model: SEED=${SEED}`)
  const steps = fc.array(step, { minLength: STEPS / 2, maxLength: STEPS, size: 'max' })
  await fc.assert(
    fc.asyncProperty(steps, async (all) => {
      await using world = await World.begin()
      for (const one of all) await world.take(one)
    }),
    { seed: SEED, numRuns: RUNS, interruptAfterTimeLimit: PATIENCE_MS },
  )
  console.info(`${RUNS} runs: ${JSON.stringify(counts)}`)
  // A model that is never asked about what matters proves nothing.
  for (const [what, count] of Object.entries(counts)) expect(count, what).toBeGreaterThan(0)
}, 1_200_000)

/** One server with what may be known of it. */
class World implements AsyncDisposable {
  readonly #server: AccessServer
  readonly #policy: Set<string>
  /** By repository: what upstream has given crossdock under that name, and what was made of it. */
  readonly #held = new Map<RepositoryName, Set<string>>(
    REPOSITORIES.map((one) => [one, new Set<string>()]),
  )
  readonly #refusals = new Map<RepositoryName, number>()
  /** Repositories that failed before: for a while a failure may be remembered. */
  readonly #troubled = new Set<RepositoryName>()
  #isOut = false

  private constructor(server: AccessServer, policy: Set<string>) {
    this.#server = server
    this.#policy = policy
  }

  static async begin(): Promise<World> {
    const policy = new Set([
      ...REPOSITORIES.map((one) => `alice ${one}`),
      ...['bob app/b', `bob ${CLAIMANT}`],
    ])
    book.origin.clearFaults()
    book.other.clearFaults()
    const server = await AccessServer.start(book, (...pair) => policy.has(pair.join(' ')))
    return new World(server, policy)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]()
  }

  async take(one: Step): Promise<void> {
    if (one.op === 'pull') await this.#pull(one.user, one.name, one.form)
    else if (one.op === 'ask') await this.#ask(one)
    else if (one.op === 'tags') await this.#tags(one.user, one.name)
    else if (one.op === 'stranger') await this.#stranger(one.user, one.name, thingAt(one.thing))
    else if (one.op === 'policy') await this.#changePolicy(`${one.user} ${one.name}`)
    else if (one.op === 'gc') await this.#server.collect()
    else if (one.op === 'restart') await this.#server.restart()
    else {
      if (one.op === 'outage') this.#isOut = one.is
      else if (one.status === 200) this.#refusals.delete(one.name)
      else this.#refusals.set(one.name, one.status)
      this.#setUpstreams()
    }
  }

  // ------------------------------------------------------------------------------------------ steps

  /** A tag in a form, then all it names. */
  async #pull(who: User, repository: RepositoryName, form: Form): Promise<void> {
    const tag = form === 'original' ? '1' : `1-${form}`
    const answer = await this.#get(who, repository, `manifests/${tag}`)
    if (!this.#mayAsk(who, repository)) return this.#expectHidden(answer, repository)
    const isOpen = this.#isOpen(repository)
    // Whatever a pull comes to, crossdock may have fetched everything meanwhile.
    if (isOpen)
      for (const { digest } of book.sourcesOf(repository)) this.#heldBy(repository).add(digest)
    const isOwed =
      isOpen && !this.#troubled.has(repository) && (form === 'original' || repository !== CLAIMANT)
    if (isOwed) counts.owed += 1
    if (answer.status !== 200) {
      expect([isOwed, answer.status], `${repository}:${tag} ${answer.bytes}`).not.toContain(true)
      counts.refused += 1
      return
    }
    const found = book.things.find(({ bytes }) => bytes.equals(answer.bytes))
    expect(found?.owners, `${repository}:${tag}`).toContain(repository)
    // A tag is asked of upstream each time, and upstream's no is believed; its silence is not.
    const isStale = this.#isOut && this.#mayHold(repository, found)
    expect(isOpen || isStale, `${repository}:${tag} without leave`).toBe(true)
    counts.given += 1
    const { config, layers } = JSON.parse(answer.bytes.toString()) as {
      config: { digest: string }
      layers: { digest: string }[]
    }
    for (const { digest } of [config, ...layers]) {
      const blob = book.things.find((candidate) => candidate.digest === digest)
      if (blob !== undefined) await this.#askFor(who, repository, blob, 'GET', {})
    }
  }

  async #ask(one: Extract<Step, { op: 'ask' }>): Promise<void> {
    await this.#askFor(
      one.user,
      one.name,
      thingAt(one.thing),
      one.method,
      CONDITIONS[one.condition],
    )
  }

  async #askFor(
    who: User,
    repository: RepositoryName,
    what: Thing,
    method: 'GET' | 'HEAD',
    condition: Readonly<Record<string, string>> = {},
  ): Promise<void> {
    const answer = await this.#get(
      who,
      repository,
      `${what.kind}/${what.digest}`,
      method,
      condition,
    )
    if (!this.#mayAsk(who, repository)) return this.#expectHidden(answer, repository)
    const message = `${method} ${repository} ${what.kind} ${what.digest} ${JSON.stringify(condition)}: ${answer.status}`
    const isOpen = this.#isOpen(repository)
    const isTheirs = what.owners.has(repository)
    if (!isTheirs) {
      counts.foreign += 1
      if (isOpen) expect(answer.status, message).toBe(404)
    }
    const isOwed = isOpen && isTheirs && what.isOriginal && !this.#troubled.has(repository)
    if (isOwed) counts.owed += 1
    if (!showsExistence(answer)) {
      expect(isOwed, message).toBe(false)
      counts.refused += 1
      return
    }
    expect(isTheirs && (isOpen || this.#mayHold(repository, what)), message).toBe(true)
    counts.given += 1
    if (method === 'GET' && answer.status < 300) {
      const whole = answer.status === 206 ? what.bytes.subarray(0, 2) : what.bytes
      // Cut in the middle when it was evicted under its reader while upstream was out.
      const isAll = answer.isWhole || isOwed
      const expected = isAll ? whole : whole.subarray(0, answer.bytes.byteLength)
      expect(answer.bytes.equals(expected), message).toBe(true)
    }
    if (what.isOriginal && isOpen) this.#heldBy(repository).add(what.digest)
  }

  async #tags(who: User, repository: RepositoryName): Promise<void> {
    const answer = await this.#get(who, repository, 'tags/list')
    if (!this.#mayAsk(who, repository)) return this.#expectHidden(answer, repository)
    if (answer.status !== 200) return
    const isKnown = this.#heldBy(repository).size > 0
    expect(this.#isOpen(repository) || (this.#isOut && isKnown), `tags of ${repository}`).toBe(true)
  }

  async #stranger(who: User, repository: RepositoryName, what: Thing): Promise<void> {
    for (const path of ['manifests/1', 'tags/list', `${what.kind}/${what.digest}`]) {
      const url = `${this.#server.base}/${repository}/${path}`
      for (const headers of [{}, credentialsOf(who, 'wrong')]) {
        expect((await ask(url, { headers })).status).toBe(401)
      }
    }
  }

  async #changePolicy(pair: string): Promise<void> {
    if (!this.#policy.delete(pair)) this.#policy.add(pair)
    await this.#server.allow((...asked) => this.#policy.has(asked.join(' ')))
  }

  #setUpstreams(): void {
    for (const registry of [book.origin, book.other]) {
      registry.clearFaults()
      if (this.#isOut) registry.fault({}, { status: 503 })
    }
    for (const [repository, status] of this.#refusals) {
      const [registry, plain] = whereIs(repository)
      registry.fault({ name: plain }, { status })
    }
    for (const one of REPOSITORIES) if (!this.#isOpen(one)) this.#troubled.add(one)
  }

  // ------------------------------------------------------------------------------------------ oracle

  #mayAsk(who: User, repository: RepositoryName): boolean {
    return this.#policy.has(`${who} ${repository}`)
  }

  /** Whether upstream answers and lets crossdock in, now. */
  #isOpen(repository: RepositoryName): boolean {
    return !this.#isOut && !this.#refusals.has(repository)
  }

  /** Upstream vouched for it earlier, which counts for digests (docs/adr/0007): what was made of it as well. */
  #mayHold(repository: RepositoryName, what: Thing | undefined): boolean {
    if (what === undefined) return false
    const held = this.#heldBy(repository)
    if (what.isOriginal) return held.has(what.digest)
    return book.sourcesOf(repository).every(({ digest }) => held.has(digest))
  }

  #heldBy(repository: RepositoryName): Set<string> {
    const held = this.#held.get(repository)
    if (held === undefined) throw new Error(repository)
    return held
  }

  /** The same as of a repository that does not exist, and nothing that upstream could tell. */
  async #expectHidden(answer: Answer, repository: RepositoryName): Promise<void> {
    counts.hidden += 1
    expect([answer.status, answer.headers.etag]).toEqual([404, undefined])
    expect(answer.headers['docker-content-digest']).toBeUndefined()
    if (answer.bytes.byteLength > 0) {
      expect(errorOf(answer).code).toBe('NAME_UNKNOWN')
      expect(errorOf(answer).message).toContain(repository)
    }
  }

  async #get(
    who: User,
    repository: RepositoryName,
    path: string,
    method: 'GET' | 'HEAD' = 'GET',
    condition: Readonly<Record<string, string>> = {},
  ): Promise<Answer> {
    counts.asked += 1
    const before = book.origin.requests.length + book.other.requests.length
    const answer = await ask(`${this.#server.base}/${repository}/${path}`, {
      method,
      headers: { ...credentialsOf(who), ...condition },
    })
    if (!this.#mayAsk(who, repository)) {
      // Not even upstream hears of it, so no clock tells what is cached.
      expect(book.origin.requests.length + book.other.requests.length).toBe(before)
    }
    return answer
  }
}

/** Bytes, a size, or that there is something to compare with. */
function showsExistence({ status }: Answer): boolean {
  return status < 400 || status === 416
}

function thingAt(index: number): Thing {
  const found = book.things[index % book.things.length]
  if (found === undefined) throw new Error('an empty book')
  return found
}

function whereIs(repository: RepositoryName) {
  return repository.startsWith('other/')
    ? ([book.other, repository.slice('other/'.length)] as const)
    : ([book.origin, repository] as const)
}
