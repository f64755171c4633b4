/** Where a registry may send us: never out of encryption, never with a user in the URL. What lies there is the dialer's to check. */
import { CrossdockError } from '../errors.ts'
import type { Answer } from './answer.ts'
import { Setback } from './failures.ts'

/** Throws a Setback for a redirect that is not followed. */
export function redirectTarget(answer: Answer, what: string): URL {
  const { host } = answer.url
  const location = answer.header('location') ?? ''
  if (location === '' || !URL.canParse(location, answer.url.href)) {
    throw redirectRefused(what, host, 'redirects to nowhere', 'redirect-refused')
  }
  const url = new URL(location, answer.url)
  const isDowngrade = answer.url.protocol === 'https:' && url.protocol === 'http:'
  const isWeb = url.protocol === 'https:' || url.protocol === 'http:'
  if (!isWeb || isDowngrade || url.username !== '' || url.password !== '') {
    const place = JSON.stringify(`${url.protocol}//${url.host}`.slice(0, 255))
    throw redirectRefused(
      what,
      host,
      `redirects to ${place}, which is not followed`,
      'redirect-refused',
    )
  }
  url.hash = ''
  return url
}

export function redirectRefused(what: string, host: string, text: string, reason: string): Setback {
  const failure = new CrossdockError(
    'upstreamFailed',
    `${what}: ${host} ${text}; check that registry`,
    { reason },
  )
  return new Setback(failure, { isWorthRetrying: false, isOfAnswer: true })
}

/** The repository that a registry's URL is about. */
export function nameIn(url: URL): string | undefined {
  return /^\/v2\/(.{1,255})\/(?:manifests|blobs|tags|referrers)\//.exec(url.pathname)?.[1]
}
