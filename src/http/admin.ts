/** The admin API and the dashboard's page, as docs/api.md describes them: one table of what there is, one guard before all of it. */
import type { ActionName, Actions } from '../admin/actions.ts'
import { parseEmptyAsk } from '../admin/asks.ts'
import type { Broadcast } from '../admin/broadcast.ts'
import { describeImage, type ImagesDeps, listImages } from '../admin/images.ts'
import type { NamedImage } from '../admin/named-image.ts'
import type { StoreReports } from '../admin/store-report.ts'
import type { Tasks } from '../admin/tasks.ts'
import type { Whole } from '../admin/whole.ts'
import { CrossdockError } from '../errors.ts'
import { printableJson } from '../lib/printable.ts'
import { OPERATIONS } from '../lib/request-event.ts'
import type { ByteStream } from '../lib/streams.ts'
import type { AdminGuard } from './admin-guard.ts'
import { sendClosed, sendDashboard } from './dashboard.ts'
import type { Assets } from './dashboard-assets.ts'
import type { Exchange } from './exchange.ts'
import { describeJob, jobEvents } from './job-events.ts'
import { readJsonBody } from './json-body.ts'

export interface AdminDeps {
  readonly guard: AdminGuard
  readonly whole: Whole
  readonly broadcast: Broadcast
  readonly images: ImagesDeps
  readonly reports: Pick<StoreReports, 'read'>
  /** Where what is asked for here begins. */
  readonly tasks: Pick<Tasks, 'start'>
  readonly actions: Actions
  readonly assets: Assets
  /** Throws `requestInvalid` for what is no name of an image. */
  readonly parseImage: (text: string) => NamedImage
  /** Aborted when the server is to end, for which streams without an end must not be waited. */
  readonly ending: AbortSignal
}

interface Ask {
  readonly exchange: Exchange
  readonly params: URLSearchParams
  /** What the path's pattern caught. */
  readonly rest: string
}

interface Route {
  readonly method: 'GET' | 'POST'
  readonly path: RegExp
  readonly answer: (ask: Ask, deps: AdminDeps) => void | Promise<void>
}

/** Viewers at a time; each has a connection, and ten are many. */
const VIEWERS = 64

/** Images of a page. */
const PAGE = { usual: 30, most: 200 } as const

/** How long `Prefer: wait` may hold an answer, s (RFC 7240 section 4.3). */
const MOST_WAIT = 60

const ROUTES: readonly Route[] = [
  { method: 'GET', path: /^\/()$/, answer: page },
  { method: 'GET', path: /^\/dashboard\/([\w.-]+)$/, answer: asset },
  { method: 'GET', path: /^\/api\/state()$/, answer: state },
  { method: 'GET', path: /^\/api\/events()$/, answer: events },
  { method: 'GET', path: /^\/api\/history()$/, answer: history },
  { method: 'GET', path: /^\/api\/images()$/, answer: images },
  { method: 'GET', path: /^\/api\/image()$/, answer: image },
  { method: 'GET', path: /^\/api\/store()$/, answer: store },
  { method: 'GET', path: /^\/api\/conversions()$/, answer: conversions },
  { method: 'GET', path: /^\/api\/tasks()$/, answer: tasks },
  { method: 'GET', path: /^\/api\/tasks\/([^/]+)$/, answer: task },
  { method: 'POST', path: /^\/api\/reload()$/, answer: reload },
  { method: 'POST', path: /^\/api\/actions\/([a-z-]+)$/, answer: act },
]

export async function answerAdmin(exchange: Exchange, deps: AdminDeps): Promise<void> {
  exchange.route = OPERATIONS
  const [path = '', query = ''] = (exchange.incoming.url ?? '').split(/\?(.*)/s, 2)
  const found = ROUTES.filter((route) => route.path.test(path))
  if (found.length === 0) throw unknownPath(path)
  const method = exchange.isHead ? 'GET' : exchange.incoming.method
  const route = found.find((one) => one.method === method)
  if (route === undefined) throw wrongMethod(path, found)
  const { closed } = deps.guard
  if (closed !== undefined && path === '/' && wantsPage(exchange)) {
    sendClosed(exchange, closed.message)
    return
  }
  await deps.guard.admit(exchange)
  const [, rest = ''] = route.path.exec(path) ?? []
  await route.answer({ exchange, params: new URLSearchParams(query), rest }, deps)
}

function page({ exchange }: Ask): void {
  if (wantsPage(exchange)) sendDashboard(exchange)
  else throw unknownPath('/')
}

function wantsPage(exchange: Exchange): boolean {
  return (exchange.header('accept') ?? '').includes('text/html')
}

function asset({ exchange, rest }: Ask, { assets }: AdminDeps): void {
  assets.send(exchange, rest)
}

// ------------------------------------------------------------------------------------------------- state

async function state({ exchange }: Ask, deps: AdminDeps): Promise<void> {
  sendJson(exchange, await deps.whole.state())
}

async function events({ exchange }: Ask, { broadcast, ending }: AdminDeps): Promise<void> {
  if (broadcast.viewers >= VIEWERS) {
    throw new CrossdockError('overloaded', `${VIEWERS} viewers are there already; close some`, {
      reason: 'viewers',
      retryAfter: 30,
    })
  }
  await stream(exchange, ending, (over) => broadcast.watch(over))
}

async function history({ exchange, params }: Ask, deps: AdminDeps): Promise<void> {
  const minutes = countIn(params, 'minutes', 24 * 60, 24 * 60)
  sendJson(exchange, { minutes: await deps.whole.history(minutes) })
}

async function images({ exchange, params }: Ask, deps: AdminDeps): Promise<void> {
  const limit = countIn(params, 'limit', PAGE.usual, PAGE.most)
  const [match, after] = [textIn(params, 'match'), textIn(params, 'after')]
  sendJson(exchange, await listImages(deps.images, { limit, match, after }))
}

async function image({ exchange, params }: Ask, deps: AdminDeps): Promise<void> {
  const { repository, reference, text } = deps.parseImage(textIn(params, 'image') ?? '')
  if ('digest' in reference) {
    throw new CrossdockError('requestInvalid', `${text}: say a tag, as /api/images lists them`)
  }
  sendJson(exchange, await describeImage(deps.images, repository, reference.tag))
}

async function store({ exchange }: Ask, { reports }: AdminDeps): Promise<void> {
  sendJson(exchange, await reports.read())
}

async function conversions({ exchange }: Ask, { whole, ending }: AdminDeps): Promise<void> {
  if (exchange.header('accept')?.includes('text/event-stream') === true) {
    await stream(exchange, ending, (over) => jobEvents(whole.jobs, over))
  } else sendJson(exchange, { conversions: (await whole.conversions()).map(describeJob) })
}

async function reload({ exchange }: Ask, deps: AdminDeps): Promise<void> {
  // Only what is said to be JSON, and so comes from no form of another page.
  parseEmptyAsk(await readJsonBody(exchange.incoming))
  sendJson(exchange, await deps.whole.reload())
}

// ------------------------------------------------------------------------------------------------- actions

async function tasks({ exchange }: Ask, deps: AdminDeps): Promise<void> {
  sendJson(exchange, { tasks: await deps.whole.tasks() })
}

async function task({ exchange, rest }: Ask, deps: AdminDeps): Promise<void> {
  if (!/^\d{1,15}$/.test(rest)) throw noSuchTask(rest)
  await sendTask(exchange, Number(rest), deps)
}

async function act({ exchange, rest }: Ask, deps: AdminDeps): Promise<void> {
  const { actions } = deps
  if (!actions.has(rest)) {
    throw new CrossdockError(
      'notFound',
      `there is no action ${rest.slice(0, 40)}; there are ${actions.names.join(', ')}`,
    )
  }
  const name: ActionName = rest
  const { subject, run } = actions.prepare(name, await readJsonBody(exchange.incoming))
  await sendTask(exchange, deps.tasks.start(name, subject, run), deps)
}

/** 200 for one that has ended, 202 for one that goes on: `Prefer: wait=N` holds the answer so many seconds at most. */
async function sendTask(exchange: Exchange, id: number, deps: AdminDeps): Promise<void> {
  const [, seconds = '0'] = /\bwait=(\d{1,4})\b/.exec(exchange.header('prefer') ?? '') ?? []
  const over = new AbortController()
  exchange.whenGone(() => over.abort())
  const signal = AbortSignal.any([deps.ending, over.signal])
  const waitMs = Math.min(MOST_WAIT, Number(seconds)) * 1_000
  const found = await deps.whole.task(id, waitMs, signal)
  if (found === undefined) throw noSuchTask(String(id))
  sendJson(exchange, found, found.state === 'running' ? 202 : 200)
}

// ------------------------------------------------------------------------------------------------- answers

async function stream(
  exchange: Exchange,
  ending: AbortSignal,
  bytes: (over: AbortSignal) => ByteStream,
): Promise<void> {
  const over = new AbortController()
  exchange.whenGone(() => over.abort())
  exchange.begin(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' })
  if (exchange.isHead) exchange.finish()
  else await exchange.stream(bytes(AbortSignal.any([ending, over.signal])))
}

function sendJson(exchange: Exchange, value: object, status = 200): void {
  const headers = { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' }
  exchange.send(status, headers, `${printableJson(value)}\n`)
}

function textIn(params: URLSearchParams, name: string): string | undefined {
  return params.get(name)?.slice(0, 500) || undefined
}

function countIn(params: URLSearchParams, name: string, usual: number, most: number): number {
  const text = params.get(name)
  if (text === null) return usual
  const count = Number(text)
  if (Number.isInteger(count) && count >= 1 && count <= most) return count
  throw new CrossdockError('requestInvalid', `${name} must be a whole number from 1 to ${most}`)
}

function unknownPath(path: string): CrossdockError {
  return new CrossdockError(
    'notFound',
    `${path.slice(0, 200)} is not here: the admin listener has /healthz, /readyz, /metrics, /api/... (docs/api.md), and the dashboard at / for browsers`,
  )
}

function noSuchTask(id: string): CrossdockError {
  return new CrossdockError(
    'notFound',
    `no such task: ${id.slice(0, 40)}; it ended long ago, or never was`,
  )
}

function wrongMethod(path: string, found: readonly Route[]): CrossdockError {
  const allow = found.map(({ method }) => (method === 'GET' ? 'GET, HEAD' : method)).join(', ')
  return new CrossdockError('methodNotAllowed', `${path.slice(0, 200)} takes ${allow} only`, {
    allow,
  })
}
