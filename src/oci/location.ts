/**
 * Pure: where the API of a registry is. `https://host/artifactory/api/docker/repo` has it below a path;
 * `https://harbor.example/v2/hub-proxy`, as containerd writes it, has the names of another registry below a project.
 */

export interface Location {
  /** Scheme, host and port. */
  readonly origin: URL
  /** What stands in front of `/v2`: empty, or with a leading and without a trailing slash. */
  readonly base: string
  /** What stands in front of every repository name: empty, or with a trailing slash. */
  readonly namespace: string
}

/** Components that mean the same to every server on the way. */
const BASE = /^(?:\/[A-Za-z0-9._~-]+)*$/
const NAMESPACE = /^(?:[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*\/)*$/

/** `undefined` for anything but an http(s) URL whose path, if any, can stand in front of names. */
export function parseLocation(text: string): Location | undefined {
  if (!URL.canParse(text)) return undefined
  const url = new URL(text)
  const isWeb = url.protocol === 'http:' || url.protocol === 'https:'
  if (!isWeb || url.username || url.password || url.search || url.hash) return undefined
  const path = url.pathname.replace(/\/$/, '')
  // The last one, so that a path which has one of its own can be told by another `/v2` behind it.
  const at = `${path}/`.lastIndexOf('/v2/')
  const base = at < 0 ? path : path.slice(0, at)
  const namespace = at < 0 ? '' : `${path}/`.slice(at + '/v2/'.length)
  if (!BASE.test(base) || !NAMESPACE.test(namespace)) return undefined
  return { origin: new URL(url.origin), base, namespace }
}

/** The name that the registry itself has for a repository. */
export function nameAt(location: Location, repository: string): string {
  return `${location.namespace}${repository}`
}

/** As it is written in a configuration. */
export function formatLocation({ origin, base, namespace }: Location): string {
  const names = namespace === '' ? '' : `/v2/${namespace.slice(0, -1)}`
  const isAmbiguous = names === '' && parseLocation(`${origin.origin}${base}`)?.base !== base
  return `${origin.origin}${base}${isAmbiguous ? '/v2' : names}`
}

/** `rest` is what follows the name: `manifests/3`. */
export function urlAt(location: Location, repository: string, rest: string): URL {
  return new URL(`${location.base}/v2/${nameAt(location, repository)}/${rest}`, location.origin)
}

/** Where a registry says that it is one, and whom it wants to see. */
export function pingUrl(location: Location): URL {
  return new URL(`${location.base}/v2/`, location.origin)
}
