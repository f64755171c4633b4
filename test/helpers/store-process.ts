/** A child process with the store open, to be killed: says `ready`, then does what its argument asks for. */
import { systemClock } from '../../src/clock.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { acquireServerLock } from '../../src/store/lock.ts'
import { openStore } from '../../src/store/open.ts'

const [data = '', act = '', seed = '0'] = process.argv.slice(2)
const repository = { upstream: 'docker.io', name: 'library/alpine' }

if (act === 'serve') {
  await acquireServerLock(data)
  say('ready')
  await forever()
}

const store = await openStore({ data, clock: systemClock })
say('ready')
if (act === 'half') {
  const writer = await store.blobs.create({ size: 200_000 })
  await writer.write(Buffer.alloc(100_000, seed))
  say('half')
  await forever()
}
if (act === 'churn') {
  for (let i = 0; ; i += 1) {
    const stat = await put(Buffer.alloc(50_000 + (i % 7) * 10_000, `${seed}-${i}`))
    await store.sidecars.update(stat.digest, () => ({
      ...stat,
      mediaType: 'application/x',
      places: [{ ...repository, tags: { [`${seed}-${i}`]: i } }],
    }))
    await store.catalog.tags.record(repository, `${seed}-${i}`, {
      digest: stat.digest,
      checkedAt: i,
    })
    await store.catalog.links.record(repository, [{ ...stat, standing: 'proven' }])
    say(`stored ${stat.digest}`)
  }
}
if (act === 'same') {
  for (let i = 0; i < 30; i += 1) await put(Buffer.alloc(100_000, `same-${i}`))
}
if (act === 'places') {
  const digest = digestOf(Buffer.from('shared'))
  for (let i = 0; i < 20; i += 1) {
    await store.sidecars.update(digest, (current) => ({
      digest,
      size: 6,
      mediaType: 'application/x',
      places: [...(current?.places ?? []), { ...repository, name: `${seed}/${i}`, tags: {} }],
    }))
  }
}
if (act === 'tag') {
  const record = { digest: digestOf(Buffer.from(seed)), checkedAt: 1 }
  await store.catalog.tags.record(repository, seed, record)
}
await store[Symbol.asyncDispose]()

async function put(bytes: Uint8Array) {
  const writer = await store.blobs.create({})
  await writer.write(bytes)
  return await writer.commit()
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

async function forever(): Promise<never> {
  setInterval(() => undefined, 60_000)
  return await new Promise(() => undefined)
}
