/** What the store lies on and cannot be reached now, above every view: since when, what is meant by that, and in whose words. */
import { byId, fill, h, say, show } from './dom.js'
import { ago, when } from './format.js'

const NAMES = { catalog: 'PostgreSQL', blobs: 'S3' }

const CATALOG =
  'what was asked for before is served, what is new is refused. What only the catalog knows is left out here; all else is live.'

const MEANWHILE = {
  catalog: {
    all: `The catalog is away: ${CATALOG}`,
    some: `The catalog answers, but not all that is asked: ${CATALOG}`,
    writes: `The catalog takes nothing new: ${CATALOG}`,
  },
  blobs: {
    all: 'The store of blobs is away: what this server keeps in store.localCache is served, what it lacks is refused.',
    some: 'The store of blobs answers, but not all that is asked: what this server keeps in store.localCache is served, what cannot be read there is refused.',
    writes:
      'The store of blobs takes nothing new: what lies there or is kept in store.localCache is served, what would have to be fetched or converted is refused.',
  },
}

const BADGE = { all: 'away', some: 'failing', writes: 'read only' }

let known = ''

export function showOutages({ outages }) {
  show(byId('outages'), outages.length > 0)
  fill(byId('outages'), [outages, Math.floor(Date.now() / 60_000)], () => outages.map(line))
  const names = outages.map(({ part }) => NAMES[part]).join(' and ')
  const isWhole = outages.every(({ fails }) => fails === 'all')
  const now = isWhole ? `${names} is away` : `${names} fails in part`
  if (names !== known) say(names === '' ? `${known} is back` : now)
  known = names
}

function line({ part, where, since, message, fails }) {
  return h(
    'li',
    {},
    h('span', { class: 'badge bad' }, BADGE[fails]),
    h('strong', {}, `${NAMES[part]} at ${where}`),
    h('span', { class: 'soft end', title: when(since) }, `since ${when(since)}, ${ago(since)}`),
    h('span', { class: 'text' }, MEANWHILE[part][fails]),
    h('span', { class: 'text soft' }, message),
  )
}
