/**
 * What a user gains: seconds until a pull ends and until a container has run its first command, and bytes that came, per form, before
 * and after the conversion, at the speed of this machine and over a line of 100 Mbit/s. Forms whose node is not there are left out.
 */
import { type Crossdock, startCrossdock } from '../helpers/crossdock-process.ts'
import { findMissing, REGISTRY } from '../helpers/fixtures.ts'
import { readImage, readManifest } from '../helpers/fixtures-registry.ts'
import { openSlowLine } from '../helpers/slow-line.ts'
import { nydus, soci, stargz, whole } from './gain-nodes.ts'
import { median, timed } from './measure.ts'
import {
  describe,
  firstCommands,
  type Form,
  type Gain,
  LINES,
  LINE_NAMES,
  type Line,
  slowdowns,
  tableOf,
} from './gain-table.ts'
import type { Section } from './row.ts'

const IMAGES = [
  { image: 'node-app:1', command: ['node', '--version'], says: /^v\d+\./m },
  { image: 'debian:12', command: ['cat', '/etc/debian_version'], says: /^12\./m },
] as const

const PLAIN = { node: whole, needs: ['clients', 'containerd'], isLazy: false } as const
const STARGZ = { node: stargz, needs: ['clients'], isLazy: true } as const
const NYDUS = { node: nydus, needs: ['nydusNode'], isLazy: true } as const

const FORMS: readonly Form[] = [
  { ...PLAIN, suffix: '' },
  { ...PLAIN, suffix: '-zstd' },
  { ...PLAIN, suffix: '-zstdchunked' },
  { ...PLAIN, suffix: '-estargz' },
  { ...STARGZ, suffix: '-zstdchunked-stargz' },
  { ...STARGZ, suffix: '-estargz' },
  { node: soci, needs: ['sociNode'], isLazy: true, suffix: '-soci' },
  { ...NYDUS, suffix: '-nydus' },
  { ...NYDUS, suffix: '-nydus-ref' },
]

export const gain: Section = {
  name: 'gain',
  isLong: true,
  async measure(runs) {
    const gains: Gain[] = []
    for (const line of LINE_NAMES) {
      for (const about of IMAGES) {
        for (const form of FORMS.filter(({ needs }) => findMissing(needs) === undefined)) {
          for (const one of await measureForm(runs, about, form, line)) {
            console.error(describe(one))
            gains.push(one)
          }
        }
      }
    }
    console.log(tableOf(gains))
    return [...slowdowns(gains), ...firstCommands(gains)]
  },
}

type About = (typeof IMAGES)[number]

async function measureForm(
  runs: number,
  about: About,
  form: Form,
  line: Line,
): Promise<readonly Gain[]> {
  if (form.suffix === '') {
    return [await repeated(runs, () => direct(about, form, line))]
  }
  const both: Gain[][] = []
  for (let i = 0; i < runs; i += 1) {
    await using crossdock = await startCrossdock()
    const cold = await through(crossdock, about, form, line, 'cold')
    both.push([cold, await through(crossdock, about, form, line, 'warm')])
  }
  const of = (index: number) => medians(both.flatMap((pair) => pair[index] ?? []))
  return [of(0), of(1)]
}

async function repeated(runs: number, measure: () => Promise<Gain>): Promise<Gain> {
  const all: Gain[] = []
  for (let i = 0; i < runs; i += 1) all.push(await measure())
  return medians(all)
}

function medians(all: readonly Gain[]): Gain {
  const [first] = all
  if (first === undefined) throw new Error('nothing was measured')
  const of = (key: 'pulled' | 'ran' | 'bytes') => median(all.map((one) => one[key]))
  return { ...first, pulled: of('pulled'), ran: of('ran'), bytes: of('bytes') }
}

async function direct(about: About, form: Form, line: Line): Promise<Gain> {
  const times = await pullAndRun(REGISTRY, about, form, line)
  const { document } = await readImage(`${REGISTRY}/${about.image}`)
  const bytes = (document.layers ?? []).reduce((sum, { size }) => sum + size, 0)
  return { image: about.image, form, line, state: 'direct', ...times, bytes }
}

async function through(
  crossdock: Crossdock,
  about: About,
  form: Form,
  line: Line,
  state: 'cold' | 'warm',
): Promise<Gain> {
  const from = crossdock.requests().length
  const times = await pullAndRun(crossdock.host, about, form, line)
  const bytes = crossdock
    .requests()
    .slice(from)
    .filter(({ method }) => method === 'GET')
    .reduce((sum, one) => sum + one.bytes, 0)
  // A lazy node may have begun before all was there; what is warm is there whole.
  if (state === 'cold') await readManifest(`${crossdock.host}/${about.image}${form.suffix}`)
  return { image: about.image, form, line, state, ...times, bytes }
}

async function pullAndRun(host: string, { image, command, says }: About, form: Form, line: Line) {
  const megabits = LINES[line]
  await using slow = megabits === undefined ? undefined : await openSlowLine(host, megabits)
  await using node = await form.node(slow?.host ?? host)
  const reference = `${node.registry}/${image}${form.suffix}`
  const pulled = await timed(() => node.pull(reference))
  let said = ''
  const ran = await timed(async () => {
    said = await node.run(reference, command)
  })
  if (!says.test(said)) throw new Error(`${reference} says ${JSON.stringify(said)}`)
  return { pulled, ran: pulled + ran }
}
