/** What clients are told of a part of the store that fails: neither where it runs nor what whoever runs it may do. */
import type { FailureKind } from '../errors.ts'

/** `part`: like "the catalog (PostgreSQL)". */
export function toldOfStore(part: string, kind: FailureKind): string {
  if (kind === 'overloaded') return `${part} cannot be used now; try again in a moment`
  if (kind === 'storeFull')
    return `${part} has no room left; whoever runs this server has to make some`
  return `${part} cannot be used; whoever runs this server finds why in its log`
}
