/** Pure: what an authenticated client may pull. Rules allow; what no rule allows is hidden. */
import { compileGlob, type Glob } from '../lib/glob.ts'

/** Who asks: a user of the htpasswd file, or the subject of a client certificate. */
export interface Principal {
  readonly name: string
  /** Groups that the principal brings itself (a certificate's OU); those of the configuration come on top. */
  readonly groups: readonly string[]
}

export interface PolicyRule {
  /** Names of principals, `@group`, or `*` for everybody who got in. */
  readonly who: readonly string[]
  /** Globs over `upstream/repository`: `*` within a component, `**` across. */
  readonly match: readonly string[]
  /** Profiles that may be asked for, `original` among them; without it all. */
  readonly profiles?: readonly string[] | undefined
}

export interface PolicySettings {
  /** Group -> names of principals. */
  readonly groups: Readonly<Record<string, readonly string[]>>
  /** Empty: everybody who got in may pull everything. */
  readonly rules: readonly PolicyRule[]
}

export interface PolicyAsk {
  /** `upstream/repository` */
  readonly repository: string
  /** `undefined` for the endpoints that have none; of several one must be allowed. */
  readonly profile?: string | readonly string[] | undefined
}

export class Policy {
  readonly #groups: Readonly<Record<string, readonly string[]>>
  readonly #rules: readonly {
    readonly who: ReadonlySet<string>
    readonly patterns: readonly Glob[]
    readonly profiles: ReadonlySet<string> | undefined
  }[]

  constructor(settings: PolicySettings) {
    this.#groups = settings.groups
    this.#rules = settings.rules.map((rule) => ({
      who: new Set(rule.who),
      patterns: rule.match.map(compileGlob),
      profiles: rule.profiles && new Set(rule.profiles),
    }))
  }

  allows(principal: Principal, ask: PolicyAsk): boolean {
    if (this.#rules.length === 0) return true
    const names = ['*', ...this.#groupsOf(principal).map((group) => `@${group}`)]
    // A name that looks like a group must not become one.
    if (!principal.name.startsWith('@')) names.push(principal.name)
    const asked = ask.profile === undefined ? undefined : [ask.profile].flat()
    return this.#rules.some(
      ({ who, patterns, profiles }) =>
        names.some((name) => who.has(name)) &&
        patterns.some((pattern) => pattern.test(ask.repository)) &&
        (asked === undefined || profiles === undefined || asked.some((one) => profiles.has(one))),
    )
  }

  #groupsOf(principal: Principal): readonly string[] {
    const listed = Object.entries(this.#groups)
      .filter(([, members]) => members.includes(principal.name))
      .map(([group]) => group)
    return [...principal.groups, ...listed]
  }
}
