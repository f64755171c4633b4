/** What the store lies on and cannot be reached now, above every view: since when, what is meant by that, and in whose words. */
import { byId, fill, h, say, show } from './dom.js'
import { ago, when } from './format.js'

const NAMES = { catalog: 'PostgreSQL', blobs: 'S3' }

const MEANWHILE = {
  catalog:
    'The catalog is away: what was asked for before is served, what is new is refused. What only the catalog knows is left out here; all else is live.',
  blobs:
    'The store of blobs is away: what this server keeps in store.localCache is served, what it lacks is refused.',
}

let known = ''

export function showOutages({ outages }) {
  show(byId('outages'), outages.length > 0)
  fill(byId('outages'), [outages, Math.floor(Date.now() / 60_000)], () => outages.map(line))
  const names = outages.map(({ part }) => NAMES[part]).join(' and ')
  if (names !== known) say(names === '' ? `${known} is back` : `${names} is away`)
  known = names
}

function line({ part, where, since, message }) {
  return h(
    'li',
    {},
    h('span', { class: 'badge bad' }, 'away'),
    h('strong', {}, `${NAMES[part]} at ${where}`),
    h('span', { class: 'soft end', title: when(since) }, `since ${when(since)}, ${ago(since)}`),
    h('span', { class: 'text' }, MEANWHILE[part]),
    h('span', { class: 'text soft' }, message),
  )
}
