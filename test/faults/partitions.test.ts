/** Three servers on one store, each on a machine of its own, while the network between them and what they share goes silent. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { ask, open } from '../helpers/faults-http.ts'
import { getManifest, type PullAsk, pull, RefusedError } from '../helpers/faults-puller.ts'
import { type Machine, type Network, WITHOUT_NETWORK } from '../helpers/network.ts'
import { type NetworkedReplica, NetworkedReplicas } from '../helpers/networked-replicas.ts'
import { bytesOf } from '../helpers/pulling-crowd.ts'
import { hasSharedPair } from '../helpers/replicas.ts'

const MIB = 1024 * 1024
const FORMS = ['1', '1-zstd'] as const
const PULLERS = 200
/** Of pullers at each server while something is cut. */
const FEW = 6
/** Nobody waits longer for bytes or a word, whatever was cut: the longest time limit is 30 s, of S3's answers. */
const BOUND_MS = 60_000
const SLOW_MS = 240_000

if (WITHOUT_NETWORK !== undefined) {
  console.warn(`${WITHOUT_NETWORK} is not there: tests with partitions are skipped`)
}

interface Cut {
  /** No client reaches the one that fetches, either. */
  readonly isUnreachable?: boolean
  begin(): Promise<void>
  end(): Promise<void>
}

/** What is cut while `holder` fetches and `follower` follows it. */
type CutOf = (all: NetworkedReplicas, holder: Machine, follower: Machine) => Cut

const CUTS: readonly (readonly [string, CutOf])[] = [
  [
    'they no longer hear each other',
    ({ network, all }) => lines(network, pairsOf(all.map(({ machine }) => machine))),
  ],
  [
    'the one that fetches no longer hears PostgreSQL',
    ({ network, postgres }, holder) => lines(network, [[holder, postgres]]),
  ],
  [
    'the one that fetches no longer hears S3',
    ({ network, s3 }, holder) => lines(network, [[holder, s3]]),
  ],
  [
    'one that follows hears neither PostgreSQL nor the one that fetches',
    ({ network, postgres }, holder, follower) =>
      lines(network, [
        [follower, postgres],
        [follower, holder],
      ]),
  ],
  [
    'one that follows no longer hears S3',
    ({ network, s3 }, _, follower) => lines(network, [[follower, s3]]),
  ],
  [
    'the cable of the one that fetches is out',
    ({ network }, holder) => ({
      isUnreachable: true,
      begin: () => network.plug(holder, 'down'),
      end: () => network.plug(holder, 'up'),
    }),
  ],
]

describe.skipIf(!hasSharedPair || WITHOUT_NETWORK !== undefined)('three machines', () => {
  let replicas: NetworkedReplicas
  beforeAll(async () => {
    replicas = await NetworkedReplicas.start()
  })
  afterEach(() => replicas?.registry.clearFaults())
  afterAll(async () => {
    await replicas?.[Symbol.asyncDispose]()
  })

  test('fetch each blob once and convert each layer once for 200 pullers', async () => {
    const { registry } = replicas
    const image = await registry.pushImage('many/app', '1', {
      layers: [{ size: 2 * MIB }, { size: MIB }, { size: 1_000 }],
    })
    registry.fault({ name: 'many/app', kind: 'blob' }, { bytesPerSecond: MIB })
    const before = await conversions()

    const pulled = await Promise.all(
      Array.from({ length: PULLERS }, (_, i) =>
        pull(replicas.base, 'many/app', FORMS[i % FORMS.length] ?? '1'),
      ),
    )

    expect(new Set(pulled.map(({ digest }) => digest)).size).toBe(FORMS.length)
    for (const blob of [image.config, ...image.layers]) expect(gets(blob.digest)).toBe(1)
    expect(await conversions()).toBe(before + image.layers.length)
  })

  test.each(CUTS)(
    'serve everybody or tell them, soon, when %s',
    async (what, cutOf) => {
      const name = `cut/${CUTS.findIndex(([one]) => one === what)}`
      const image = await replicas.registry.pushImage(name, '1', {
        layers: [{ size: 2 * MIB }, { size: 1_000 }],
      })
      const [holder, ...others] = replicas.all
      const [follower] = others
      const [layer] = image.layers
      if (holder === undefined || follower === undefined || layer === undefined) {
        throw new Error('there are all of them')
      }
      const gate = Promise.withResolvers<void>()
      replicas.registry.fault(
        { blob: layer.digest },
        { gateAfter: MIB, gate: () => gate.promise, times: 1 },
      )
      // Whoever's server has no cable is told by nobody: then it gives up.
      const given = new AbortController()
      const crowdAt = ({ base }: NetworkedReplica, count: number, signal?: AbortSignal) =>
        FORMS.flatMap((form) =>
          Array.from({ length: count }, () => pulled(base, name, form, signal && { signal })),
        )
      const atHolder = crowdAt(holder, 1, given.signal)
      await expect.poll(() => gets(layer.digest), { timeout: 20_000 }).toBe(1)
      atHolder.push(...crowdAt(holder, FEW, given.signal))
      const elsewhere = others.flatMap((one) => crowdAt(one, FEW))
      await arrivedAtAll(`${name}/blobs/${layer.digest}`)

      const cut = cutOf(replicas, holder.machine, follower.machine)
      await cut.begin()
      const began = performance.now()
      gate.resolve()
      const outcomes = await Promise.all(elsewhere)
      if (cut.isUnreachable) given.abort()
      outcomes.push(...(await Promise.all(atHolder)))
      const took = performance.now() - began
      await cut.end()

      console.info(
        `${what}: ${summaryOf(outcomes)} in ${Math.round(took)} ms, ${gets(layer.digest)} GET`,
      )
      expect(took).toBeLessThan(BOUND_MS)
      expect(gets(layer.digest)).toBeLessThanOrEqual(replicas.all.length)
      await expectServedByAll(name, outcomes)
    },
    SLOW_MS,
  )

  test(
    'tell who reads what lies on S3, soon, when that goes silent half way',
    async () => {
      const [holder, reader] = replicas.all
      const image = await replicas.registry.pushImage('silent/s3', '1', {
        layers: [{ size: 48 * MIB, compression: 'none' }],
      })
      if (holder === undefined || reader === undefined) throw new Error('there are both')
      await pull(holder.base, 'silent/s3', '1')
      const url = `${reader.base}/silent/s3/blobs/${image.layers[0]?.digest}`
      await getManifest(reader.base, 'silent/s3', '1')

      const { network, s3 } = replicas
      await network.slow(reader.machine, 40)
      const head = await open(url)
      const body = head.body
      await network.cut(reader.machine, s3)
      const began = performance.now()
      const { isWhole } = await body
      const took = performance.now() - began
      await network.heal(reader.machine, s3)

      console.info(`S3 goes silent half way: told in ${Math.round(took)} ms`)
      expect(isWhole).toBe(false)
      expect(took).toBeLessThan(BOUND_MS)
      expect(digestOf((await ask(url)).bytes)).toBe(image.layers[0]?.digest)
    },
    SLOW_MS,
  )

  /** Half of the blob has come to each of them. */
  async function arrivedAtAll(path: string): Promise<void> {
    for (const { base } of replicas.all) {
      const head = () => ask(`${base}/${path}`, { headers: { range: 'bytes=600000-600009' } })
      await expect.poll(async () => (await head()).status, { timeout: 20_000 }).toBe(206)
    }
  }

  /** Nobody was served anything else than anybody else, and all of it is served again by each. */
  async function expectServedByAll(name: string, outcomes: readonly Outcome[]): Promise<void> {
    for (const form of FORMS) {
      const images = outcomes.flatMap((one) =>
        one.kind === 'served' && one.form === form ? [one.image] : [],
      )
      for (const { base } of replicas.all) {
        const again = async () => (await pulled(base, name, form)).kind
        await expect.poll(again, { timeout: BOUND_MS, interval: 500 }).toBe('served')
        images.push(bytesOf(await pull(base, name, form)))
      }
      for (const image of images) expect(image).toEqual(images[0])
    }
  }

  function gets(blob: string): number {
    return replicas.registry.count({ blob, method: 'GET' })
  }

  function conversions(): Promise<number> {
    return replicas.metric('crossdock_layers_converted_total', 'result="converted"')
  }
})

type Outcome =
  | { readonly kind: 'served'; readonly form: string; readonly image: object }
  | { readonly kind: 'told'; readonly why: string }

/** Rejects when the bytes are wrong. */
async function pulled(
  base: string,
  name: string,
  form: string,
  how: PullAsk = {},
): Promise<Outcome> {
  return await pull(base, name, form, how).then(
    (image) => ({ kind: 'served', form, image: bytesOf(image) }),
    (error: unknown) => {
      if (error instanceof RefusedError) return { kind: 'told', why: error.message }
      throw error
    },
  )
}

function summaryOf(outcomes: readonly Outcome[]): string {
  const told = outcomes.flatMap((one) =>
    one.kind === 'told' ? [one.why.replace(/ \(request.*/s, '')] : [],
  )
  const served = outcomes.length - told.length
  return [`${served} served`, ...new Set(told.map((why) => `told: ${why}`))].join('; ')
}

function lines(network: Network, pairs: readonly (readonly [Machine, Machine])[]): Cut {
  const each = async (deed: (one: Machine, other: Machine) => Promise<void>) => {
    await Promise.all(pairs.map(([one, other]) => deed(one, other)))
  }
  return {
    begin: () => each((one, other) => network.cut(one, other)),
    end: () => each((one, other) => network.heal(one, other)),
  }
}

function pairsOf(all: readonly Machine[]): readonly (readonly [Machine, Machine])[] {
  return all.flatMap((one, i) => all.slice(i + 1).map((other) => [one, other] as const))
}
