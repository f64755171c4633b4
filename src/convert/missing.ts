/** What to say of a manifest that is not there: mostly a typing error, and some of those can be told. */
import { suggestion } from '../config/problem.ts'
import type { Profiles } from '../config/profiles.ts'
import { CrossdockError } from '../errors.ts'
import { splitSuffix } from '../oci/reference.ts'
import type { Repository } from '../oci/repository.ts'

export function manifestUnknown(
  { upstream, name }: Repository,
  reference: string,
  advice = 'check the tag and the upstream, for a private one its credentials and "allowedRealms" as well (they may be hidden until those are right), or import it where crossdock is offline',
): CrossdockError {
  return new CrossdockError(
    'manifestUnknown',
    `manifest ${upstream}/${name}${reference} is not there; ${advice}`,
  )
}

/** `tag` is what was asked of upstream: without the suffix that named a profile. */
export function tagUnknown(
  repository: Repository,
  tag: string,
  { suffixes, names }: Profiles,
): CrossdockError {
  return manifestUnknown(
    repository,
    `:${tag}`,
    stacked(tag, suffixes) ?? misnamed(repository, names) ?? mistyped(tag, suffixes),
  )
}

/** Why a conversion fails that nothing here could be the source of. */
export const NOT_CARRIED = 'not-carried'

/** Offline: the image is known, and what came of it cannot be brought into the form that was asked for. */
export function notCarried(
  repository: Repository,
  tag: string,
  profile: string,
  forms: readonly string[],
): CrossdockError {
  const { upstream, name } = repository
  const there = forms.map((form) => `${tag}-${form}`).join(', ')
  const advice =
    forms.length === 0
      ? `carry it: crossdock export ${upstream}/${name}:${tag}-${profile}`
      : `there is ${there}; pull that, or carry this one: crossdock export ${upstream}/${name}:${tag}-${profile}`
  return new CrossdockError(
    'manifestUnknown',
    `${upstream}/${name}:${tag} was not carried as ${profile}, and nothing that is here can be converted to it; ${advice}`,
    { reason: NOT_CARRIED },
  )
}

function stacked(tag: string, suffixes: readonly string[]): string | undefined {
  let base = tag
  for (let inner = splitSuffix(tag, suffixes); inner; inner = splitSuffix(base, suffixes)) {
    base = inner.base
  }
  if (base === tag) return undefined
  return `only the last of several suffixes names a profile, so ask for ${base} with one of them`
}

/** What follows any hyphen may have been meant as a suffix. */
function mistyped(tag: string, suffixes: readonly string[]): string | undefined {
  const parts = tag.split('-')
  for (let i = 1; i < parts.length; i += 1) {
    const given = parts.slice(i).join('-')
    const meant = given.length < 3 ? '' : suggestion(given, suffixes)
    if (meant !== '') return `if -${given} was meant to name a profile${meant}`
  }
  return undefined
}

/** `/v2/as/NAME/` is a repository's path unless NAME is a profile. */
function misnamed({ name }: Repository, profiles: readonly string[]): string | undefined {
  const asked = /^as\/([^/]+)\/./.exec(name)?.[1]
  if (asked === undefined) return undefined
  return `if ${asked} was meant to be a profile: there are ${profiles.join(', ')}`
}
