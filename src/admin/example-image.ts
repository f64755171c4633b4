/** An image to try a server with: one that can be pulled as it stands here, so that nobody has to fill in a form. */
import type { Catalog } from '../ports/catalog.ts'
import type { Upstreams } from '../ports/upstream.ts'

/** Names that are looked at for one of the default upstream. */
const LOOKED_AT = 1_000

/** Tags of signatures and the like, which nobody pulls. */
const OF_SIGNATURES = /^sha256-/

export interface ExampleDeps {
  readonly catalog: { readonly tags: Pick<Catalog['tags'], 'list'> }
  readonly upstreams: Pick<Upstreams, 'names'> & { readonly default: { readonly name: string } }
}

/**
 * By the names of this server, without suffix: of the default upstream one that everybody knows or that was pulled before, else one of
 * another upstream, else of Docker Hub. `undefined`: nothing is known of any upstream.
 */
export async function exampleImage(deps: ExampleDeps): Promise<string | undefined> {
  const { catalog, upstreams } = deps
  if (upstreams.default.name === 'docker.io') return 'alpine:3'
  let other: string | undefined
  let seen = 0
  for await (const { upstream, name, tag } of catalog.tags.list()) {
    if (OF_SIGNATURES.test(tag)) continue
    if (upstream === upstreams.default.name) return `${name}:${tag}`
    // No client takes a port within a name.
    if (!upstream.includes(':') && upstreams.names.includes(upstream)) {
      other ??= `${upstream}/${name}:${tag}`
    }
    seen += 1
    if (seen === LOOKED_AT) break
  }
  return other ?? (upstreams.names.includes('docker.io') ? 'docker.io/library/alpine:3' : undefined)
}
