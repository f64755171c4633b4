/** Who may come in and what they may pull: Basic credentials of an htpasswd file, or a client certificate. */
import { CrossdockError } from '../errors.ts'
import type { Users } from './htpasswd.ts'
import type { Policy, PolicyAsk, Principal } from './policy.ts'

/** What a request brings to say who it is. */
export interface Credentials {
  /** The header `Authorization`. */
  readonly authorization: string | undefined
  /** Subject of a client certificate that the TLS layer has verified. */
  readonly certificate: CertificateSubject | undefined
  /** One client, where shares are counted. */
  readonly client?: string | undefined
}

export interface CertificateSubject {
  readonly commonName: string | undefined
  readonly units: readonly string[]
}

/** As Node gives the subject of a certificate: a name that is there several times is a list. */
export function subjectOf(subject: {
  readonly CN?: string | readonly string[]
  readonly OU?: string | readonly string[]
}): CertificateSubject {
  const names = [subject.CN ?? []].flat()
  // Of several nobody can tell whom the authority meant.
  return {
    commonName: names.length === 1 ? names[0] : undefined,
    units: [subject.OU ?? []].flat(),
  }
}

export type AccessMode =
  | { readonly mode: 'none' }
  | { readonly mode: 'htpasswd'; readonly users: Users }
  | { readonly mode: 'mtls' }

/** `WWW-Authenticate` of a 401: what every client answers with the credentials of its login. */
export const CHALLENGE = 'Basic realm="crossdock", charset="UTF-8"'

export interface AccessRules {
  readonly mode: AccessMode
  readonly policy: Policy
}

/** What who is not let in is told: what asks for a login, and how one is given to it. */
export interface Door {
  readonly name: string
  readonly login: string
}

const REGISTRY: Door = {
  name: 'this registry',
  login: 'log in with docker login, podman login or nerdctl login',
}

export const ADMIN_DOOR: Door = {
  name: 'this listener',
  login:
    'say one of adminUsers: commands with --server http://USER:PASSWORD@HOST:PORT, curl with -u USER:PASSWORD, browsers ask at /',
}

export class Access {
  #rules: AccessRules
  readonly #door: Door

  constructor(rules: AccessRules, door: Door = REGISTRY) {
    this.#rules = rules
    this.#door = door
  }

  /** Takes new users and rules; pulls under way go on. True when there are other users or passwords than before. */
  replace(rules: AccessRules): boolean {
    const { mode: before } = this.#rules
    const { mode: now } = rules
    if (before.mode !== 'htpasswd' || now.mode !== 'htpasswd') {
      this.#rules = rules
      return false
    }
    const isSame = now.users.hasSame(before.users)
    // Those of before know who has just proven a password.
    this.#rules = isSame ? { ...rules, mode: before } : rules
    return !isSame
  }

  /** `undefined`: nobody is asked who they are. Throws `unauthorized` for missing or wrong credentials. */
  async identify(credentials: Credentials): Promise<Principal | undefined> {
    const { mode } = this.#rules
    if (mode.mode === 'none') return undefined
    if (mode.mode === 'mtls') return principalOf(credentials.certificate, this.#door)
    const basic = parseBasic(credentials.authorization)
    if (basic === undefined) throw unauthorized(`${this.#door.name} asks for a login`, this.#door)
    if (await mode.users.isRight(basic.name, basic.password, credentials.client)) {
      return { name: basic.name, groups: [] }
    }
    throw unauthorized('the user name or the password is wrong', this.#door)
  }

  allows(principal: Principal | undefined, ask: PolicyAsk): boolean {
    return principal === undefined || this.#rules.policy.allows(principal, ask)
  }

  /** Throws `nameUnknown` for what the policy hides: whoever may not see a repository learns nothing about it. */
  authorize(principal: Principal | undefined, ask: PolicyAsk): void {
    if (principal === undefined || this.allows(principal, ask)) return
    throw new CrossdockError(
      'nameUnknown',
      `repository ${ask.repository} is not there for ${JSON.stringify(principal.name.slice(0, 80))}; ask the operator to allow it in auth.policy`,
      { reason: 'policy' },
    )
  }
}

function principalOf(certificate: CertificateSubject | undefined, door: Door): Principal {
  if (certificate?.commonName === undefined || certificate.commonName === '') {
    throw unauthorized(`${door.name} asks for a client certificate with one common name`, door)
  }
  return { name: certificate.commonName, groups: certificate.units }
}

/** RFC 7617; `undefined` for anything else. */
export function parseBasic(
  header: string | undefined,
): { readonly name: string; readonly password: string } | undefined {
  const [, token] = /^Basic +([A-Za-z0-9+/]{1,2048}={0,2})$/i.exec(header ?? '') ?? []
  if (token === undefined) return undefined
  const text = Buffer.from(token, 'base64').toString('utf8')
  const colon = text.indexOf(':')
  if (colon < 1) return undefined
  return { name: text.slice(0, colon), password: text.slice(colon + 1) }
}

function unauthorized(what: string, { login }: Door): CrossdockError {
  return new CrossdockError('unauthorized', `${what}; ${login}`, { reason: 'login' })
}
