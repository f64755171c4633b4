/** The view of what went wrong: refusals by reason with the words of the last ones, failing upstreams, failed conversions and chores. */
import { byId, fill, h, show } from './dom.js'
import { ago, count } from './format.js'

export function showTrouble({ troubles, upstreams = [], work, store, outages = [] }) {
  const minute = Math.floor(Date.now() / 60_000)
  const failing = upstreams.filter(({ health }) => health === 'failing' || health === 'resting')
  const failed = (work?.ended ?? []).filter(({ state }) => state === 'failed')
  const refusals = troubles?.refusals ?? { groups: [], recent: [] }
  const wishes = troubles?.wishes ?? { groups: [], recent: [] }
  const chores = store?.upkeep.failures ?? []
  part('failing', failing.length > 0)
  part('failed', failed.length > 0)
  part('refusals', refusals.groups.length > 0)
  part('wishes', wishes.groups.length > 0)
  part('chores', chores.length > 0)
  const isWell = [outages, failing, failed, refusals.groups, wishes.groups, chores].every(
    (one) => one.length === 0,
  )
  show(byId('trouble-empty'), isWell)
  fill(byId('failing'), [failing, minute], ([all]) => all.map(failingLine))
  fill(byId('failed'), [failed, minute], ([all]) => all.map(failedLine))
  fill(byId('refusals'), [refusals.groups, minute], ([all]) => groupTable(all))
  fill(byId('refused'), [refusals.recent, minute], ([all]) => all.slice(0, 20).map(refusedLine))
  fill(byId('wishes'), [wishes.groups, minute], ([all]) => groupTable(all))
  fill(byId('chores'), [chores, minute], ([all]) => all.map(choreLine))
}

function part(name, isThere) {
  const section = document.querySelector(`[data-part=${name}]`)
  if (section !== null) show(section, isThere)
}

function failingLine({ upstream, health, restSeconds, failure }) {
  const what = health === 'resting' ? `not asked for ${count(restSeconds, 'second')}` : 'failing'
  return line(
    ['bad', what],
    upstream,
    failure === null ? '' : ago(failure.at),
    failure?.text ?? failure?.reason ?? '',
  )
}

function failedLine({ name, tag, profile, endedAt, reason }) {
  return line(
    ['bad', 'failed'],
    `${name}${tag === null ? '' : `:${tag}`} (${profile})`,
    ago(endedAt),
    reason ?? '',
  )
}

function refusedLine({ status, reason, image, client, at, text }) {
  return line(['', `${status} ${reason}`], image ?? '', `${client ?? 'unknown'} · ${ago(at)}`, text)
}

function choreLine({ chore, at, text }) {
  return line(['bad', 'failed'], chore, ago(at), text)
}

function line([kind, word], name, end, text) {
  return h(
    'li',
    {},
    h('span', { class: `badge ${kind}` }, word),
    h('span', { class: 'name' }, name),
    h('span', { class: 'soft end' }, end),
    h('span', { class: 'text' }, text),
  )
}

function groupTable(groups) {
  return h(
    'table',
    {},
    h(
      'thead',
      {},
      h(
        'tr',
        {},
        ['Reason', 'Times', 'Last', 'What was said'].map((one) => h('th', { scope: 'col' }, one)),
      ),
    ),
    h(
      'tbody',
      {},
      groups.map(({ reason, count: n, last }) =>
        h(
          'tr',
          {},
          h('th', { scope: 'row' }, reason),
          h('td', { class: 'number' }, n.toLocaleString('en')),
          h('td', {}, ago(last.at)),
          h(
            'td',
            {},
            last.image === null ? null : h('code', {}, last.image),
            last.image === null ? null : h('br'),
            last.text,
          ),
        ),
      ),
    ),
  )
}
