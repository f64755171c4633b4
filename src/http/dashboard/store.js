/** The view of the store: what it holds of what it may, what goes next and why, and whether all of it is sound. */
import { onDone } from './actions.js'
import { byId, fill, h, setText, show } from './dom.js'
import { ago, bytes, count, digest, percent, rate, seconds, span, when } from './format.js'

let isLooking = false
/** When what stands there was looked at. */
let lookedAt = null

const REASONS = {
  orphan: 'nothing links to it',
  forgotten: 'its name was removed',
  'over-budget': 'least recently used',
}

export function start() {
  byId('report-again').addEventListener('click', () => void look())
  onDone(({ action }) => {
    if (!byId('view-store').hidden && action !== 'signatures') void look()
  })
}

export function openStore() {
  void look()
}

/** What changes by itself. */
export function showStore({ store }) {
  fill(byId('budget'), [store.bytes, store.budget, store.maxSize], () => budget(store))
  const facts = [store.scrub, store.upkeep, Math.floor(Date.now() / 60_000)]
  fill(byId('upkeep'), facts, () => upkeep(store))
  fill(byId('healed'), [store.upkeep.checks, Math.floor(Date.now() / 60_000)], ([checks]) =>
    checks.map(checkLine),
  )
  show(byId('healed-empty'), store.upkeep.checks.length === 0)
}

function budget({ bytes: held, budget: most, maxSize }) {
  const isOver = held > most
  const limit = most < maxSize ? 'what the disk leaves room for' : 'cache.maxSize'
  return h(
    'div',
    { class: isOver ? 'meter over' : 'meter' },
    h(
      'div',
      { class: 'row' },
      h('strong', {}, `${bytes(held)} of ${bytes(most)}`),
      h('span', { class: 'soft' }, `${limit}${isOver ? `, over by ${bytes(held - most)}` : ''}`),
      h('span', { class: 'end' }, percent(held / Math.max(1, most))),
    ),
    h('progress', {
      max: Math.max(1, most),
      value: Math.min(held, most),
      'aria-label': 'Budget used',
    }),
  )
}

function upkeep({ scrub, upkeep: { scrubBeganAt, lastScrub, lastCollection } }) {
  const isOff = scrub.intervalMs === 0
  // The catalog did not say it.
  const isUnknown = scrub.lastAt === undefined
  const due = scrub.lastAt === null ? null : scrub.lastAt + scrub.intervalMs
  const now = Date.now()
  const nextText = isOff
    ? 'off (cache.scrub.interval is 0)'
    : isUnknown
      ? '–'
      : due === null
        ? 'soon'
        : due <= now
          ? 'due'
          : `in ${span(due - now)}`
  return facts([
    [
      'Last scrub',
      isUnknown
        ? '–'
        : scrub.lastAt === null
          ? 'none yet'
          : `${ago(scrub.lastAt)}${lastScrub === null ? '' : `: ${bytes(lastScrub.bytes)} in ${seconds(lastScrub.seconds)}`}`,
    ],
    ['Next scrub', scrubBeganAt === null ? nextText : `running since ${when(scrubBeganAt)}`],
    ['Pace', rate(scrub.rate)],
    [
      'Last collection',
      lastCollection === null
        ? 'none yet'
        : `${ago(lastCollection.at)}: ${lastCollection.gone === 0 ? 'nothing had to go' : `${count(lastCollection.gone, 'blob')} went, ${bytes(lastCollection.goneBytes)}`}${lastCollection.overBy > 0 ? `; over by ${bytes(lastCollection.overBy)}` : ''}`,
    ],
  ])
}

function checkLine({ at, what, digest: of, state, detail }) {
  const kind = state === 'healed' ? 'good' : state === 'failed' ? 'bad' : ''
  return h(
    'li',
    {},
    h('span', { class: `badge ${kind}` }, state),
    h('span', {}, what),
    h('code', { title: of }, digest(of)),
    h('span', { class: 'soft end' }, ago(at)),
    h('span', { class: 'text' }, detail ?? ''),
  )
}

function facts(pairs) {
  return pairs.flatMap(([title, text]) => [h('dt', {}, title), h('dd', {}, text)])
}

// ------------------------------------------------------------------------------------------------- report

async function look() {
  if (isLooking) return
  isLooking = true
  const status = byId('report-state')
  show(status, true)
  setText(status, 'Looking through the store …')
  try {
    const response = await fetch('/api/store')
    const report = await response.json()
    if (!response.ok) throw new Error(report.errors?.[0]?.message ?? response.statusText)
    showReport(report)
    lookedAt = report.at
    setText(
      status,
      `Looked ${ago(report.at)} at ${count(report.blobs, 'blob')}, ${bytes(report.total)}.`,
    )
  } catch (error) {
    const old = lookedAt === null ? '' : ` What stands below was looked at ${ago(lookedAt)}.`
    setText(status, `${error.message}.${old}`)
  } finally {
    isLooking = false
  }
}

function showReport(report) {
  fill(byId('by-upstream'), [report.byUpstream, report.total], ([all, total]) => shares(all, total))
  fill(byId('by-profile'), [report.byProfile, report.total], ([all, total]) => shares(all, total))
  const { described, pinned, leased, irreplaceable } = report.kept
  fill(byId('stays'), report.kept, () =>
    facts([
      [
        'Manifests and configs',
        `${bytes(described)}; they have a quarter of the budget to themselves`,
      ],
      ['Pinned', bytes(pinned)],
      ['In use', `${bytes(leased)} used or linked within the lease`],
      ...(irreplaceable === 0
        ? []
        : [['Irreplaceable', `${bytes(irreplaceable)} that could not be had again`]]),
    ]),
  )
  setText(byId('next-sum'), nextText(report))
  fill(byId('next'), report.next, (next) => nextTable(next))
  show(byId('next'), report.next.length > 0)
}

function nextText({ nextCount, nextBytes, overBy, next }) {
  const over =
    overBy > 0 ? ` The store stays over its budget by ${bytes(overBy)}: nothing more may go.` : ''
  if (nextCount === 0) return `Nothing has to go.${over}`
  const first = nextCount > next.length ? ` The first ${next.length} of them:` : ''
  return `${count(nextCount, 'blob')}, ${bytes(nextBytes)} in all.${over}${first}`
}

function shares(all, total) {
  return h(
    'ul',
    { class: 'shares' },
    all.map(({ name, blobs, bytes: held }) =>
      h(
        'li',
        {},
        h(
          'div',
          { class: 'row' },
          h('span', { class: 'name' }, name),
          h('span', { class: 'soft end' }, `${bytes(held)} · ${count(blobs, 'blob')}`),
        ),
        h('progress', {
          max: Math.max(1, total),
          value: held,
          'aria-label': `${name}: ${percent(held / Math.max(1, total))}`,
        }),
      ),
    ),
  )
}

function nextTable(next) {
  const head = ['Blob', 'Of', 'Size', 'Last used', 'Why', 'Comes back from']
  return h(
    'table',
    {},
    h(
      'thead',
      {},
      h(
        'tr',
        {},
        head.map((one) => h('th', { scope: 'col', class: one === 'Size' ? 'number' : null }, one)),
      ),
    ),
    h(
      'tbody',
      {},
      next.map((one) =>
        h(
          'tr',
          {},
          h('th', { scope: 'row' }, h('code', { title: one.digest }, digest(one.digest))),
          h('td', {}, one.heldBy ?? '–'),
          h('td', { class: 'number' }, bytes(one.size)),
          h('td', {}, ago(one.lastUsed)),
          h('td', {}, REASONS[one.reason] ?? one.reason),
          h('td', {}, one.comesBackFrom ?? '–'),
        ),
      ),
    ),
  )
}
