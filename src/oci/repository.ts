/** A repository of an upstream, and how it is written. */

/** `{upstream: 'docker.io', name: 'library/alpine'}`. */
export interface Repository {
  /** The upstream's canonical name. */
  readonly upstream: string
  readonly name: string
}

/** `docker.io/library/alpine`. */
export function fullName({ upstream, name }: Repository): string {
  return `${upstream}/${name}`
}

export function isSameRepository(a: Repository, b: Repository): boolean {
  return a.upstream === b.upstream && a.name === b.name
}
