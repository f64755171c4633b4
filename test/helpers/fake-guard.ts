/** Who may pull from the fake registry: Basic, or Bearer with a token service at `/token`. */
import { json } from './fake-image.ts'
import { JSON_TYPE, type LoggedRequest, type Reply } from './fake-wire.ts'

/** Who may pull. With `bearer` the token service is the registry itself at `/token`, unless `realm` says otherwise. */
export interface FakeAuth {
  readonly scheme: 'basic' | 'bearer'
  /** Without them anonymous tokens are given. */
  readonly username?: string
  readonly password?: string
  readonly identityToken?: string
  readonly realm?: string
  /** What strangers are told, without a challenge, everywhere but at `/v2/`. */
  readonly hides?: 401 | 403 | 404
  /** `/v2/` lets everybody in. */
  readonly isPingOpen?: boolean
  readonly expiresIn?: number
  /** What tokens begin with. */
  readonly token?: string
}

export class FakeGuard {
  auth: FakeAuth | undefined
  #tokens = new Set<string>()
  #served = 0

  constructor(auth: FakeAuth | undefined) {
    this.auth = auth
  }

  /** Forgets all tokens, as if they had expired. */
  revoke(): void {
    this.#tokens.clear()
  }

  /** Lets in whom another one's token service lets in. */
  accept(other: FakeGuard): void {
    this.#tokens = other.#tokens
  }

  /** A 401, or `undefined` for who may come in. `url` is the registry's. */
  challenge(request: LoggedRequest, url: string): Reply | undefined {
    const { auth } = this
    if (auth === undefined) return undefined
    const given = request.headers.authorization ?? ''
    const isIn =
      auth.scheme === 'basic'
        ? given === basic(auth)
        : this.#tokens.has(`${given.replace('Bearer ', '')} ${scopeOf(request.name)}`)
    if (isIn || (auth.isPingOpen && request.kind === 'ping')) return undefined
    if (auth.hides !== undefined && request.kind !== 'ping') {
      return { status: auth.hides, headers: JSON_TYPE, body: json({ errors: [] }) }
    }
    const realm = auth.realm ?? `${url}/token`
    const bearer = `Bearer realm="${realm}",service="fake",scope="${scopeOf(request.name)}"`
    const challenge = auth.scheme === 'basic' ? 'Basic realm="fake"' : bearer
    return {
      status: 401,
      headers: { ...JSON_TYPE, 'www-authenticate': challenge },
      body: json({ errors: [{ code: 'UNAUTHORIZED' }] }),
    }
  }

  token(request: LoggedRequest): Reply {
    const { auth } = this
    const query = new URL(request.path, 'http://x').searchParams
    const form = new URLSearchParams(request.body)
    const scope = query.get('scope') ?? form.get('scope') ?? ''
    const isRefused =
      (auth?.username !== undefined && request.headers.authorization !== basic(auth)) ||
      (auth?.identityToken !== undefined && form.get('refresh_token') !== auth.identityToken)
    if (isRefused) return { status: 401, headers: JSON_TYPE, body: json({ errors: [] }) }
    this.#served += 1
    const token = `${auth?.token ?? 'token'}-${this.#served}`
    this.#tokens.add(`${token} ${scope}`)
    const body = json({ token, expires_in: auth?.expiresIn ?? 300 })
    return { status: 200, headers: JSON_TYPE, body }
  }
}

function scopeOf(name: string): string {
  return `repository:${name}:pull`
}

function basic(auth: FakeAuth): string {
  return `Basic ${Buffer.from(`${auth.username}:${auth.password}`).toString('base64')}`
}
