/** A soak over several servers that share a store: pullers through the round-robin, a small budget, and one trouble after the other. */
import { setTimeout as sleep } from 'node:timers/promises'
import { FakeRegistry } from './fake-registry.ts'
import { Dice } from './faults-seed.ts'
import { pull } from './faults-puller.ts'
import { bytesOf, crowd, type Outcomes } from './pulling-crowd.ts'
import { type Replica, Replicas } from './replicas.ts'
import type { S3Fault } from './s3-wire.ts'

const FORMS = ['1', '1-zstd', '1-estargz', '1-zstdchunked']
const IMAGES = 12

/** Less than all that is made of the images: something is always being let go and had again. */
const BUDGET = 2_000_000

export interface SharedSoakOptions {
  readonly seconds: number
  readonly pullers: number
  readonly seed: number
  readonly say: (line: string) => void
}

export interface SharedSoakReport extends Omit<Outcomes, 'images'> {
  readonly images: number
  /** What was served before and is not, or not the same, when all is well again. */
  readonly lost: readonly string[]
  readonly troubles: Readonly<Record<string, number>>
  readonly deletions: number
  /** Highest resident set of any server, bytes. */
  readonly peakRss: number
}

export async function sharedSoak(options: SharedSoakOptions): Promise<SharedSoakReport> {
  const { seconds, pullers, say } = options
  const dice = new Dice(options.seed)
  await using origin = await FakeRegistry.start()
  await using replicas = await Replicas.start({
    registry: origin,
    config: { cache: { tagWindow: '5s', maxSize: BUDGET, lease: '10s' } },
  })
  const names = Array.from({ length: IMAGES }, (_, i) => `soak/${i}`)
  for (const name of names) {
    await origin.pushImage(name, '1', { layers: [{ size: 200_000 }, { size: 70_000 }] })
  }
  const wanted = names.flatMap((name) => FORMS.map((form) => [name, form] as const))
  const pulling = crowd(() => replicas.base, wanted, pullers)
  const troubles: Record<string, number> = {}
  let peakRss = 0
  const until = performance.now() + seconds * 1_000
  while (performance.now() < until) {
    const [name, trouble] = dice.pick(TROUBLES)
    say(`${name}; ${pulling.served} images were pulled`)
    troubles[name] = (troubles[name] ?? 0) + 1
    await trouble(replicas, dice.pick(replicas.inTurn))
    await sleep(3_000)
    for (const { proxy } of replicas.inTurn) {
      peakRss = Math.max(peakRss, await proxy.crossdock.peakRss())
    }
  }
  const { images, ...counts } = await pulling.end()
  const lost: string[] = []
  for (const [key, image] of images) {
    const [name = '', form = ''] = key.split(':')
    for (const { proxy } of replicas.inTurn) {
      const again = await pull(proxy.base, name, form).then(bytesOf, String)
      if (JSON.stringify(again) !== JSON.stringify(image)) lost.push(`${key}: ${again}`)
    }
  }
  const deletions = replicas.all.reduce((sum, { s3 }) => sum + s3.count('DELETE', '/blobs/'), 0)
  return { ...counts, images: images.size, lost, troubles, deletions, peakRss }
}

type Trouble = (replicas: Replicas, victim: Replica) => Promise<void>

const TROUBLES: readonly (readonly [name: string, trouble: Trouble])[] = [
  ['a server is killed', async (_, { proxy }) => await proxy.restart('SIGKILL')],
  [
    'a server is replaced',
    async (replicas, victim) => {
      await replicas.add()
      victim.isInTurn = false
      await victim.proxy.stop('SIGTERM')
    },
  ],
  [
    'a server stands still',
    async (_, { proxy }) => {
      process.kill(proxy.crossdock.pid, 'SIGSTOP')
      await sleep(18_000)
      process.kill(proxy.crossdock.pid, 'SIGCONT')
    },
  ],
  [
    'a server is cut off',
    async (replicas, victim) => {
      replicas.cutOff(victim)
      await sleep(10_000)
      replicas.reconnect(victim)
    },
  ],
  [
    'PostgreSQL restarts',
    async ({ postgres }) => {
      await postgres.stop('fast')
      await sleep(2_000)
      await postgres.start()
    },
  ],
  [
    'PostgreSQL crashes',
    async ({ postgres }) => {
      await postgres.stop('immediate')
      await postgres.start()
    },
  ],
  ['S3 is busy', onS3({ kind: 'status', status: 503, code: 'SlowDown' })],
  ['S3 refuses connections', onS3({ kind: 'reset' })],
  ['S3 is slow', onS3({ kind: 'delay', ms: 500 })],
  ['S3 gives wrong bytes', onS3({ kind: 'flip', at: 500 })],
  ['S3 cuts answers', onS3({ kind: 'cut', after: 1_000 })],
]

/** Every second request of every server, for a while. */
function onS3(fault: S3Fault): Trouble {
  return async ({ all }) => {
    let turn = 0
    for (const { s3 } of all) {
      s3.fault = () => {
        turn += 1
        return turn % 2 === 0 ? fault : undefined
      }
    }
    await sleep(6_000)
    for (const { s3 } of all) s3.fault = () => undefined
  }
}
