/** The view of this moment: what is under way and who waits for it, how much goes out, how upstreams do. */
import { createChart } from './chart.js'
import { all, byId, fill, h, keep, setText, show } from './dom.js'
import { ago, bytes, count, digest, number, percent, rate, seconds, shortName } from './format.js'

/** Minutes of traffic, oldest first. */
let minutes = []
let span = 360
/** @type {any} */
let charts
const rates = new Map()

/** Rates come from the last seconds, so that a stall shows. */
const RATE_WINDOW_MS = 5_000
/** Minutes that a chart spans at least. */
const LEAST_MINUTES = 30
/** Layers that are shown without being asked for. */
const FEW_LAYERS = 8

export function start() {
  charts = {
    bytes: createChart(byId('chart-bytes'), {
      title: 'Bytes a minute',
      lines: [
        { title: 'to clients', value: (row) => (row.isBefore ? null : row.bytesOut) },
        {
          title: 'from upstreams',
          value: (row) => (row.isBefore ? null : row.bytesIn),
          second: true,
        },
      ],
      format: bytes,
      summary: (rows) =>
        `${bytes(sum(rows, 'bytesOut'))} to clients, ${bytes(sum(rows, 'bytesIn'))} from upstreams`,
    }),
    hits: createChart(byId('chart-hits'), {
      title: 'From the store',
      lines: [{ title: 'hit ratio', value: (row) => hitRatio([row]) }],
      format: percent,
      most: 1,
      summary: (rows) =>
        `${percent(hitRatio(rows) ?? 0)} of ${count(asked(rows), 'answer')} from the store`,
    }),
  }
  for (const button of all('[data-span]')) {
    button.addEventListener('click', () => {
      span = Number(button.dataset.span)
      for (const one of all('[data-span]')) {
        one.setAttribute('aria-pressed', String(one === button))
      }
      drawCharts()
    })
  }
  void loadHistory()
}

async function loadHistory() {
  const response = await fetch('/api/history').catch(() => undefined)
  if (!response?.ok) return
  const { minutes: past } = await response.json()
  addMinutes(past)
  drawCharts()
}

function addMinutes(rows) {
  const all = new Map(minutes.map((row) => [row.at, row]))
  for (const row of rows) all.set(row.at, row)
  minutes = [...all.values()].sort((a, b) => a.at - b.at).slice(-1440)
}

function drawCharts() {
  const rows = padded(minutes.slice(-span))
  charts.bytes.draw(rows)
  charts.hits.draw(rows)
}

/** A server that was just started has its few minutes at the right, where they will be moving from. */
function padded(rows) {
  const first = rows[0]?.at ?? Date.now()
  const missing = Math.max(0, LEAST_MINUTES - rows.length)
  const nothing = { requests: 0, bytesOut: 0, bytesIn: 0, hits: 0, misses: 0, isBefore: true }
  const before = Array.from({ length: missing }, (_, i) => ({
    at: first - (missing - i) * 60_000,
    ...nothing,
  }))
  return [...before, ...rows]
}

// ------------------------------------------------------------------------------------------------- traffic

export function showTraffic({ traffic }) {
  const { perSecond, hitRatio: ratio, totals, savings } = traffic
  const saved = savings.asSource - savings.out
  const tiles = [
    [
      'Requests',
      `${number(perSecond.requests)}/s`,
      `${totals.requests.toLocaleString('en')} since the start`,
    ],
    ['To clients', rate(perSecond.bytesOut), `${bytes(totals.bytesOut)} since the start`],
    ['From upstreams', rate(perSecond.bytesIn), `${bytes(totals.bytesIn)} since the start`],
    ['From the store', ratio === null ? '–' : percent(ratio), 'hit ratio of the last hour'],
    saved >= 0
      ? [
          'Saved',
          savings.asSource === 0 ? '–' : percent(saved / savings.asSource),
          savedNote(savings, saved),
        ]
      : ['Larger than the source', percent(-saved / savings.asSource), savedNote(savings, saved)],
  ]
  keep(byId('tiles'), tiles, (_, i) => i, createTile)
  const before = minutes.at(-1)?.at
  addMinutes(traffic.minutes)
  if (minutes.at(-1)?.at !== before || isShown()) drawCharts()
}

function savedNote({ out, asSource }, saved) {
  if (asSource === 0) return 'no layer went out yet'
  return `${bytes(Math.abs(saved))}: ${bytes(out)} of layers for ${bytes(asSource)}`
}

function createTile() {
  const [title, value, note] = [h('dt'), h('dd', { class: 'value' }), h('dd', { class: 'note' })]
  return {
    element: h('div', {}, title, value, note),
    update: ([name, text, more]) => {
      setText(title, name)
      setText(value, text)
      setText(note, more)
    },
  }
}

function isShown() {
  return !byId('view-now').hidden && !document.hidden
}

function sum(rows, column) {
  return rows.reduce((total, row) => total + row[column], 0)
}

function asked(rows) {
  return sum(rows, 'hits') + sum(rows, 'misses')
}

function hitRatio(rows) {
  return asked(rows) === 0 ? null : sum(rows, 'hits') / asked(rows)
}

// ------------------------------------------------------------------------------------------------- work

export function showWork({ work, server }) {
  const hub = server?.defaultUpstream ?? ''
  keep(
    byId('jobs'),
    work.jobs,
    ({ id }) => id,
    (job) => createJob(job, hub),
  )
  show(byId('jobs-empty'), work.jobs.length === 0)
  const direct = work.downloads.filter(({ job }) => job === null)
  keep(
    byId('downloads'),
    direct,
    ({ name, digest: of }) => `${name} ${of}`,
    (one) => createDownload(one, hub),
  )
  show(byId('downloads-empty'), direct.length === 0)
  setText(byId('jobs-title'), `Conversions${queue(work.layersQueued, 'layer')}`)
  setText(byId('downloads-title'), `Downloads${queue(work.downloadsQueued, 'download')}`)
  fill(byId('ended'), [work.ended, Math.floor(Date.now() / 60_000), hub], ([ended]) =>
    ended.map((job) => endedLine(job, hub)),
  )
  show(byId('ended-empty'), work.ended.length === 0)
  forgetRates(work)
}

function queue(n, noun) {
  return n === 0 ? '' : ` · ${count(n, noun)} waiting`
}

function createJob(first, hub) {
  const name = h('span', { class: 'name' }, titleOf(first, hub))
  const facts = h('span', { class: 'soft end' })
  const whole = h('progress', {
    class: 'whole',
    'aria-label': `Progress of ${titleOf(first, hub)}`,
  })
  const waiting = h('p', { class: 'soft' })
  const layers = h('ul', { class: 'layers' })
  const summary = h('summary')
  const details = h('details', {}, summary, layers)
  details.open = first.layerCount <= FEW_LAYERS
  const element = h(
    'li',
    {},
    h('div', { class: 'row' }, name, h('span', { class: 'badge' }, first.profile), facts),
    whole,
    waiting,
    details,
  )
  return {
    element,
    update(job) {
      if (job.layerCount === 0) whole.removeAttribute('value')
      else setProgress(whole, job.received, job.size)
      setText(facts, jobFacts(job))
      setText(waiting, waitersText(job.waiting))
      setText(summary, `${job.layersDone} of ${count(job.layerCount, 'layer')} done`)
      show(details, job.layerCount > 0)
      keep(
        layers,
        job.layers,
        (layer, i) => `${layer.digest} ${i}`,
        (layer) => createLayer(layer, job.id),
      )
    },
  }
}

function titleOf({ name, tag, digest: of }, hub) {
  const short = shortName(name, hub)
  if (tag !== null) return `${short}:${tag}`
  return of === null ? short : `${short}@${digest(of)}`
}

function jobFacts({ id, state, received, size, startedAt }) {
  if (state === 'planning') return `looking at it · ${seconds((Date.now() - startedAt) / 1000)}`
  const speed = rateOf(`job ${id}`, received)
  return [`${bytes(received)} of ${bytes(size)}`, ...speedText(speed, size - received)].join(' · ')
}

function createLayer({ label, digest: of }, job) {
  const bar = h('progress', { 'aria-label': `Layer ${label ?? digest(of)}` })
  const stage = h('span', { class: 'soft' })
  const facts = h('span')
  return {
    element: h('li', {}, h('code', { title: of }, label ?? digest(of).slice(7)), bar, stage, facts),
    update(layer) {
      const isOver = ['done', 'reused', 'kept'].includes(layer.stage)
      setProgress(bar, isOver ? layer.size : layer.received, layer.size)
      setText(stage, layer.stage === 'storing' ? 'storing' : layer.stage)
      setText(facts, layerFacts(layer, isOver, `job ${job} ${of}`))
    },
  }
}

function layerFacts({ stage, size, received, written }, isOver, key) {
  if (stage === 'done' && written > 0) return `${bytes(size)} → ${bytes(written)}`
  if (isOver || received === 0) return bytes(size)
  const left = size - received
  return [`${bytes(received)} of ${bytes(size)}`, ...speedText(rateOf(key, received), left)].join(
    ' · ',
  )
}

function createDownload(first, hub) {
  const title = shortName(first.image, hub)
  const facts = h('span', { class: 'soft end' })
  const bar = h('progress', { class: 'whole', 'aria-label': `Download for ${title}` })
  const waiting = h('p', { class: 'soft' })
  const blob = h('code', { title: first.digest ?? '' }, digest(first.digest))
  return {
    element: h(
      'li',
      {},
      h('div', { class: 'row' }, h('span', { class: 'name' }, title), blob, facts),
      bar,
      waiting,
    ),
    update(one) {
      if (one.size === null) bar.removeAttribute('value')
      else setProgress(bar, one.received, one.size)
      const speed = rateOf(`download ${one.name} ${one.digest}`, one.received)
      const whole =
        one.size === null ? bytes(one.received) : `${bytes(one.received)} of ${bytes(one.size)}`
      setText(
        facts,
        [whole, ...speedText(speed, (one.size ?? one.received) - one.received)].join(' · '),
      )
      setText(waiting, waitersText(one.waiting))
    },
  }
}

function waitersText({ count: n, clients }) {
  if (n === 0) return 'nobody waits for it any more'
  const names = clients.map(({ client, image }) =>
    [client ?? 'a command', image].filter(Boolean).join(' for '),
  )
  const more = n > names.length ? ` and ${n - names.length} more` : ''
  return `${n === 1 ? 'Waits' : 'Wait'}: ${[...new Set(names)].join(', ')}${more}`
}

function endedLine(job, hub) {
  const { profile, state, reason, startedAt, endedAt } = job
  const kinds = { done: 'good', failed: 'bad', original: 'warn' }
  const words = {
    done: profile === 'fetch' ? 'fetched' : 'converted',
    original: 'left as it is',
    failed: 'failed',
  }
  return h(
    'li',
    {},
    h('span', { class: `badge ${kinds[state]}` }, words[state]),
    h('span', { class: 'name' }, titleOf(job, hub)),
    profile === 'fetch' ? null : h('span', { class: 'badge' }, profile),
    h(
      'span',
      { class: 'soft end' },
      `in ${seconds((endedAt - startedAt) / 1000)} · ${ago(endedAt)}`,
    ),
    reason === null ? null : h('span', { class: 'text' }, reason),
  )
}

function setProgress(bar, value, most) {
  const max = Math.max(1, most)
  if (bar.max !== max) bar.max = max
  if (bar.value !== value || !bar.hasAttribute('value')) bar.value = Math.min(max, value)
}

function speedText(speed, left) {
  if (speed <= 0) return []
  return left > 0 ? [rate(speed), `${seconds(left / speed)} left`] : [rate(speed)]
}

/** Bytes a second of whatever grows, over the last seconds. */
function rateOf(key, value) {
  const at = performance.now()
  const samples = (rates.get(key) ?? []).filter((one) => one.at > at - RATE_WINDOW_MS)
  if (samples.at(-1)?.value > value) samples.length = 0
  samples.push({ at, value })
  rates.set(key, samples)
  const [first] = samples
  return at - first.at < 500 ? 0 : ((value - first.value) / (at - first.at)) * 1000
}

function forgetRates({ jobs, downloads }) {
  if (jobs.length + downloads.length === 0) rates.clear()
}

// ------------------------------------------------------------------------------------------------- upstreams

const HEALTH = {
  up: ['good', 'up'],
  failing: ['bad', 'failing'],
  resting: ['bad', 'not asked'],
  idle: ['', 'not asked yet'],
}

export function showUpstreams({ upstreams }) {
  fill(byId('upstreams'), [upstreams, Math.floor(Date.now() / 60_000)], ([all]) =>
    all.map(upstreamCard),
  )
}

function upstreamCard({
  upstream,
  health,
  restSeconds,
  requests,
  failures,
  failure,
  quota,
  answeredAt,
}) {
  const [kind, word] = HEALTH[health]
  const text = health === 'resting' ? `${word} for ${count(restSeconds, 'second')}` : word
  const left =
    quota === null
      ? null
      : `${quota.remaining.toLocaleString('en')}${quota.limit === null ? '' : ` of ${quota.limit.toLocaleString('en')}`} pulls left`
  const isShort = quota !== null && quota.remaining < (quota.limit ?? 100) / 10
  const isBad = health === 'failing' || health === 'resting'
  return h(
    'li',
    {},
    h(
      'div',
      { class: 'row' },
      h('span', { class: 'name' }, upstream),
      h('span', { class: `badge end ${kind}` }, text),
    ),
    h(
      'p',
      { class: 'soft' },
      answeredAt === null
        ? 'no answer yet'
        : `${count(requests, 'request')}, ${count(failures, 'failure')}; answered ${ago(answeredAt)}`,
    ),
    left === null ? null : h('p', {}, h('span', { class: isShort ? 'badge warn' : 'badge' }, left)),
    isBad && failure !== null
      ? h('p', { class: 'soft' }, failure.text ?? failure.reason ?? failure.kind)
      : null,
  )
}
