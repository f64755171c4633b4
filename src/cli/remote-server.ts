/** A running server that does what a command wants, by its admin API (docs/api.md). */
import type { ActionName, AskOf, ResultOf, Watch } from '../admin/actions.ts'
import type { TaskResult } from '../admin/tasks.ts'
import { CrossdockError } from '../errors.ts'
import { describeError, UsageError } from './output.ts'
import type { Acting } from './acting.ts'
import { RemoteProgress } from './remote-progress.ts'

/** How long the server may hold an answer, s; what is under way is told of as often. */
const WAIT_SECONDS = 2
/** For an answer, ms: a server that does not answer by then will not. */
const TIMEOUT_MS = 60_000

const ADMIN =
  '--server is the URL of what the server\'s configuration calls "admin", http://127.0.0.1:5001 by default'

export class RemoteServer implements Acting {
  readonly onInterruption = 'the server goes on with it (/api/tasks of its admin listener)'
  readonly progress: RemoteProgress
  readonly #base: URL
  readonly #headers: Readonly<Record<string, string>>

  /** `url`: of the admin listener, `http://user:password@host:port` where it asks for a login. Throws UsageError. */
  constructor(url: string) {
    const base = parseServer(url)
    const { username, password } = base
    base.username = ''
    base.password = ''
    this.#base = base
    const login = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
    this.#headers =
      username === '' ? {} : { authorization: `Basic ${Buffer.from(login).toString('base64')}` }
    this.progress = new RemoteProgress(() => this.#ask('api/conversions'))
  }

  async act<N extends ActionName>(name: N, ask: AskOf<N>, watch: Watch = {}): Promise<ResultOf<N>> {
    const begun = await this.#ask(`api/actions/${name}`, JSON.stringify(ask))
    let task = begun as TaskResult
    while (task.state === 'running') {
      if (task.progress !== null)
        watch.read?.(task.progress.bytes, task.progress.total ?? undefined)
      task = (await this.#ask(`api/tasks/${task.id}`)) as TaskResult
    }
    if (task.error !== null) throw new CrossdockError('internal', task.error.message)
    return task.result as ResultOf<N>
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.progress[Symbol.dispose]()
  }

  async #ask(path: string, body?: string): Promise<unknown> {
    const response = await this.#fetch(path, body)
    const text = await response.text()
    if (response.ok) return JSON.parse(text)
    // An admin listener takes the methods that are used here.
    if (response.status === 405) {
      throw new UsageError(`--server: ${this.#base.origin} is not the admin listener; ${ADMIN}`)
    }
    const message = `${this.#base.origin} says ${response.status}: ${messageIn(text)}`
    if (response.status === 400) throw new UsageError(message)
    throw new CrossdockError('internal', message)
  }

  async #fetch(path: string, body: string | undefined): Promise<Response> {
    const prefer = `wait=${WAIT_SECONDS}`
    const signal = AbortSignal.timeout(TIMEOUT_MS)
    const headers = { ...this.#headers, prefer }
    try {
      return await fetch(
        new URL(path, this.#base),
        body === undefined
          ? { headers, signal }
          : {
              method: 'POST',
              headers: { ...headers, 'content-type': 'application/json' },
              body,
              signal,
            },
      )
    } catch (cause) {
      if (speaksNoTls(cause)) {
        const plain = this.#base.origin.replace('https:', 'http:')
        throw new UsageError(
          `--server: ${this.#base.origin} speaks no TLS; say ${plain} if it is the admin listener (${ADMIN})`,
          { cause },
        )
      }
      const why = describeError(cause instanceof Error ? (cause.cause ?? cause) : cause)
      throw new CrossdockError(
        'internal',
        `no server answers at ${this.#base.origin}: ${why}; ${ADMIN}`,
        { cause },
      )
    }
  }
}

function parseServer(url: string): URL {
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  if (parsed !== undefined && /^https?:$/.test(parsed.protocol)) return parsed
  throw new UsageError(
    `--server: must be the URL of an admin listener, such as http://127.0.0.1:5001, not ${JSON.stringify(url.slice(0, 200))}`,
  )
}

/** OpenSSL's words for it tell nobody that he has met plain HTTP. */
function speaksNoTls(error: unknown): boolean {
  const { cause } = error instanceof Error ? error : {}
  return cause instanceof Error && Reflect.get(cause, 'code') === 'ERR_SSL_WRONG_VERSION_NUMBER'
}

function messageIn(text: string): string {
  try {
    const { errors } = JSON.parse(text) as { errors?: readonly { message?: string }[] }
    return errors?.[0]?.message ?? text.slice(0, 200)
  } catch {
    return text.slice(0, 200)
  }
}
