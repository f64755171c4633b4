/** Where an image may lie or go, in the words of containers-transports(5): a registry, a layout, an archive. */
import { UsageError } from './output.ts'

const TRANSPORTS = ['oci', 'oci-archive', 'docker-archive'] as const

export type Place =
  | { readonly kind: 'registry'; readonly reference: string }
  | {
      readonly kind: 'local'
      readonly transport: (typeof TRANSPORTS)[number]
      readonly path: string
      /** Tag or name within. */
      readonly name: string | undefined
    }

/** `oci:DIR[:NAME]`, `oci-archive:FILE[:NAME]`, `docker-archive:FILE[:NAME]`, `docker://REF` or REF. Throws UsageError. */
export function parsePlace(text: string): Place {
  if (text.startsWith('docker://')) return { kind: 'registry', reference: text.slice(9) }
  const colon = text.indexOf(':')
  const transport = TRANSPORTS.find((one) => one === text.slice(0, Math.max(0, colon)))
  if (transport === undefined) return { kind: 'registry', reference: text }
  const rest = text.slice(colon + 1)
  const next = rest.indexOf(':')
  const path = next < 0 ? rest : rest.slice(0, next)
  if (path === '') throw new UsageError(`${text} names no path; write ${transport}:PATH[:NAME]`)
  return {
    kind: 'local',
    transport,
    path,
    name: next < 0 || next === rest.length - 1 ? undefined : rest.slice(next + 1),
  }
}

export function formatPlace(place: Place): string {
  if (place.kind === 'registry') return place.reference
  return `${place.transport}:${place.path}${place.name === undefined ? '' : `:${place.name}`}`
}
