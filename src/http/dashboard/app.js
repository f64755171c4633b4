/** The dashboard: one stream of what is live, and the view that the address names. Each part of the state goes to the views that show it. */
import { showTasks, start as startActions } from './actions.js'
import { all, byId, say, setText, show } from './dom.js'
import { openImages, start as startImages } from './images.js'
import { showTraffic, showUpstreams, showWork, start as startNow } from './now.js'
import { showOutages } from './outages.js'
import { openStore, showStore, start as startStore } from './store.js'
import { showTrouble } from './trouble.js'

/**
 * The newest of each part.
 *
 * @type {any}
 */
const state = {}
state.ready = new Promise((resolve) => {
  state.known = resolve
})

/** @type {Record<string, ((state: any) => void)[]>} */
const HEARERS = {
  outages: [showOutages, showTrouble, showCounts, openAgain],
  server: [showServer],
  work: [showWork, showTrouble, showCounts],
  traffic: [showTraffic],
  upstreams: [showUpstreams, showTrouble, showCounts],
  store: [showStore, showTrouble],
  troubles: [showTrouble, showCounts],
  tasks: [showTasks],
}

const TITLES = { now: 'Now', images: 'Images', store: 'Store', trouble: 'Trouble' }
const OPENED = { images: openImages, store: openStore }

/** Between two tries to connect, ms; a server that restarts is back within seconds. */
const RETRY_MS = 2_000

startNow()
startImages(state)
startStore()
startActions()
addEventListener('hashchange', () => route(true))
route(false)
connect()

function connect() {
  const source = new EventSource('/api/events')
  for (const [part, hearers] of Object.entries(HEARERS)) {
    source.addEventListener(part, (event) => {
      state[part] = JSON.parse(event.data)
      for (const hear of hearers) hear(state)
    })
  }
  source.addEventListener('open', () => link('live', 'live'))
  source.addEventListener('error', () => {
    link('lost', 'not connected')
    if (source.readyState !== EventSource.CLOSED) return
    setTimeout(connect, RETRY_MS)
  })
}

function link(name, text) {
  const element = byId('link')
  if (element.dataset.state === name) return
  if (element.dataset.state !== 'connecting')
    say(name === 'live' ? 'Connected again' : 'Connection lost')
  element.dataset.state = name
  setText(element, text)
}

/** `#images/docker.io/library/alpine:3` is the view `images`, and what it shows. */
function route(isMove) {
  const [view = '', rest = ''] = location.hash.slice(1).split(/\/(.*)/s)
  const name = Object.hasOwn(TITLES, view) ? view : 'now'
  for (const one of Object.keys(TITLES)) show(byId(`view-${one}`), one === name)
  for (const anchor of all('nav a')) {
    if (anchor.dataset.view === name) anchor.setAttribute('aria-current', 'page')
    else anchor.removeAttribute('aria-current')
  }
  const what = decodeURIComponent(rest)
  document.title = `${what === '' ? TITLES[name] : what} · crossdock`
  OPENED[name]?.(what)
  if (!isMove) return
  scrollTo(0, 0)
  byId(`${name}-title`).focus({ preventScroll: true })
}

let wasAway = false

/** What a view could not be told while something was away it is told now. */
function openAgain({ outages }) {
  const isAway = outages.length > 0
  if (wasAway && !isAway) route(false)
  wasAway = isAway
}

function showServer({ server, known }) {
  known()
  setText(byId('version'), server.version)
  const [profile = ''] = server.profiles.filter((one) => one === 'zstd')
  setText(
    byId('try-it'),
    `${server.example ?? 'REPOSITORY:TAG'}${profile === '' ? '' : `-${profile}`}`,
  )
}

function showCounts({ work, upstreams, troubles, outages }) {
  const busy =
    (work?.running ?? 0) + (work?.downloads.filter(({ job }) => job === null).length ?? 0)
  count('now', busy, false)
  const failing =
    upstreams?.filter(({ health }) => health === 'failing' || health === 'resting') ?? []
  const kinds = troubles?.refusals.groups.length ?? 0
  const away = outages?.length ?? 0
  count('trouble', failing.length + kinds + away, failing.length + away > 0)
}

function count(view, n, isBad) {
  const badge = document.querySelector(`[data-count=${view}]`)
  if (badge === null) return
  show(badge, n > 0)
  setText(badge, String(n))
  badge.classList.toggle('bad', isBad)
}
