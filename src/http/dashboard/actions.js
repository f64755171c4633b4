/** Buttons that act: asked back where something goes away, followed until they end, their results shown and said. */
import { all, byId, fill, h, say, show } from './dom.js'
import { ago, bytes, count, digest, seconds } from './format.js'

/** Results by task, once they were fetched. */
const results = new Map()
/** Of tasks that this page began. */
const own = new Set()
let tasks = []
/** What is told when one of them ends: `(task) => void`. */
const listeners = new Set()

const TITLES = {
  stage: 'Stage',
  pin: 'Pin',
  unpin: 'Unpin',
  recheck: 'Re-check',
  convert: 'Convert again',
  remove: 'Remove',
  signatures: 'Look for signatures',
  gc: 'Collect',
  verify: 'Verify',
}

export function start() {
  for (const button of all('[data-act]')) {
    button.addEventListener('click', () => void STORE_ACTS[button.dataset.act]())
  }
}

const STORE_ACTS = {
  gc: () =>
    ask({
      title: 'Collect garbage now?',
      text: 'Evicts what is over the budget, least recently used first, and what nothing links to. It comes back when somebody asks for it.',
      yes: 'Collect',
      act: () => act('gc', {}),
    }),
  verify: () =>
    ask({
      title: 'Verify everything?',
      text: 'Reads and unpacks the whole store, and heals what is wrong. It may take long, and slows down what is served.',
      yes: 'Verify',
      act: () => act('verify', {}),
    }),
}

/** Calls `listener` with each task of this page that ends. */
export function onDone(listener) {
  listeners.add(listener)
}

/** Does it once somebody has said yes. */
export async function ask({ title, text, yes, act: doIt }) {
  const dialog = byId('confirm')
  byId('confirm-title').textContent = title
  byId('confirm-text').textContent = text
  byId('confirm-yes').textContent = yes
  dialog.returnValue = 'no'
  dialog.showModal()
  await new Promise((resolve) => dialog.addEventListener('close', resolve, { once: true }))
  if (dialog.returnValue === 'yes') await doIt()
}

export async function act(name, body) {
  say(`${TITLES[name]} has begun`)
  try {
    const response = await fetch(`/api/actions/${name}`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Prefer: 'wait=1' },
      body: JSON.stringify(body),
    })
    const answer = await response.json()
    if (!response.ok) throw new Error(answer.errors?.[0]?.message ?? response.statusText)
    own.add(answer.id)
    if (answer.state !== 'running') take(answer)
    else void follow(answer.id)
  } catch (error) {
    const failed = { id: -Date.now(), action: name, subject: subjectOf(body), state: 'failed' }
    results.set(failed.id, failed)
    own.add(failed.id)
    tasks = [
      { ...failed, startedAt: Date.now(), endedAt: Date.now(), error: { message: error.message } },
      ...tasks,
    ]
    say(`${TITLES[name]} was refused: ${error.message}`)
    draw()
  }
}

function subjectOf({ images = [] }) {
  return images.map((one) => one.image ?? one).join(', ') || 'the store'
}

async function follow(id) {
  for (;;) {
    const response = await fetch(`/api/tasks/${id}`, { headers: { Prefer: 'wait=20' } }).catch(
      () => undefined,
    )
    if (!response?.ok) return
    const task = await response.json()
    if (task.state === 'running') continue
    take(task)
    return
  }
}

/** One that has ended, with its result. */
function take(task) {
  results.set(task.id, task)
  const others = tasks.filter(({ id }) => id !== task.id)
  tasks = [task, ...others].sort((a, b) => b.startedAt - a.startedAt)
  say(`${TITLES[task.action] ?? task.action} ${task.subject}: ${outcomeOf(task)}`)
  draw()
  for (const listener of listeners) listener(task)
}

export function showTasks({ tasks: all }) {
  const refused = tasks.filter(({ id }) => id < 0)
  tasks = [...all, ...refused].sort((a, b) => b.startedAt - a.startedAt)
  draw()
}

function draw() {
  const recent = tasks.slice(0, 8)
  show(byId('tasks-aside'), recent.length > 0)
  const data = recent.map((task) => ({ ...task, result: results.get(task.id)?.result ?? null }))
  fill(byId('tasks'), [data, Math.floor(Date.now() / 60_000)], ([shown]) => shown.map(taskLine))
}

function taskLine(task) {
  const { id, action, subject, state, endedAt, startedAt, progress } = task
  const kinds = { running: '', done: 'good', failed: 'bad' }
  const kind = state === 'done' && hasFailures(task) ? 'warn' : kinds[state]
  const took =
    endedAt === null ? '' : `in ${seconds((endedAt - startedAt) / 1000)} · ${ago(endedAt)}`
  const isUnread = state === 'done' && task.result === null && !own.has(id)
  return h(
    'li',
    {},
    h('span', { class: `badge ${kind}` }, state),
    h('span', { class: 'name' }, `${TITLES[action] ?? action} ${subject}`),
    h('span', { class: 'soft end' }, took || progressText(progress)),
    isUnread
      ? h(
          'button',
          { type: 'button', class: 'quiet', onclick: () => void follow(id) },
          'Show result',
        )
      : h('span', { class: 'text' }, state === 'running' ? '' : outcomeOf(task)),
  )
}

function progressText(progress) {
  if (progress === null) return ''
  return progress.total === null
    ? bytes(progress.bytes)
    : `${bytes(progress.bytes)} of ${bytes(progress.total)}`
}

function hasFailures({ action, result }) {
  if (result === null) return false
  if (action === 'verify') return result.failed > 0
  if (action === 'stage') return result.some((one) => 'error' in one)
  return false
}

/** What came of it, in a sentence. */
function outcomeOf(task) {
  if (task.error !== null && task.error !== undefined) return task.error.message
  if (task.result === null || task.result === undefined) return task.state
  return OUTCOMES[task.action]?.(task.result) ?? 'done'
}

const OUTCOMES = {
  stage: (all) =>
    lines(
      all,
      (one) => one.error ?? `${one.conversion}, ${bytes(one.sourceSize)} → ${bytes(one.size)}`,
    ),
  pin: (all) =>
    lines(all, (one) => (one.pinned ? `stays (${bytes(one.bytes)})` : 'is not in the store')),
  unpin: (all) => lines(all, (one) => (one.unpinned ? 'may be evicted again' : 'was not pinned')),
  recheck: (all) => lines(all, (one) => recheckText(one)),
  convert: (all) => lines(all, (one) => convertText(one)),
  remove: (all) =>
    lines(all, (one) =>
      one.removed
        ? `is forgotten${one.conversions.length > 0 ? `, ${one.conversions.join(', ')} with it` : ''}`
        : 'is not in the store',
    ),
  signatures: (all) =>
    lines(all, (one) =>
      one.signatures.length === 0
        ? 'its upstream knows no signature'
        : one.signatures.map(({ kind, type }) => type ?? kind).join(', '),
    ),
  gc: ({ dryRun, victims, overBy }) =>
    `${count(victims.length, 'blob')}, ${bytes(victims.reduce((sum, { size }) => sum + size, 0))} ${dryRun ? 'would go' : 'evicted'}${overBy > 0 ? `; still over by ${bytes(overBy)}` : ''}`,
  verify: ({ sound, healed, published, failed, bytes: read, seconds: took }) =>
    `${sound} sound, ${healed} healed${published > 0 ? `, ${published} as published` : ''}, ${failed} failed; ${bytes(read)} in ${seconds(took)}`,
}

function lines(all, text) {
  return all.map((one) => `${one.name}: ${text(one)}`).join('\n')
}

function recheckText({ digest: now, moved, before }) {
  if (now === null) return 'is gone upstream'
  return moved ? `moved from ${digest(before)} to ${digest(now)}` : `still is ${digest(now)}`
}

function convertText({ confirmed, differing, conversion, before, digest: now }) {
  const same = before === now ? 'the same digest' : `now ${digest(now)}`
  const odd = differing.length === 0 ? '' : `, ${count(differing.length, 'layer')} differed`
  return `${conversion}; ${count(confirmed, 'layer')} came out as before${odd}; ${same}`
}
