/** Platforms as `os/architecture[/variant]`, compared as container runtimes do. */
import { CrossdockError } from '../errors.ts'
import type { Platform } from './manifest.ts'

const PART = /^[A-Za-z0-9_.-]{1,64}$/

/** Other names of an architecture, with the variant that they imply. */
const ALIASES: ReadonlyMap<string, readonly [architecture: string, variant?: string]> = new Map([
  ['x86_64', ['amd64']],
  ['x86-64', ['amd64']],
  ['aarch64', ['arm64']],
  ['i386', ['386']],
  ['i686', ['386']],
  ['armhf', ['arm', 'v7']],
  ['armel', ['arm', 'v6']],
])

/** The variant that an architecture has when none is said. */
const BASE_VARIANTS: ReadonlyMap<string, string> = new Map([
  ['amd64', 'v1'],
  ['arm', 'v7'],
  ['arm64', 'v8'],
])

/** `linux/arm64/v8`, `linux/x86_64`. Throws `requestInvalid`. */
export function parsePlatform(text: string): Platform {
  const parts = text.split('/')
  const [os, name, variant] = parts
  const isComplete = parts.length <= 3 && parts.every((part) => PART.test(part))
  if (!isComplete || os === undefined || name === undefined) {
    throw new CrossdockError(
      'requestInvalid',
      `platform ${JSON.stringify(text.slice(0, 80))} is not os/architecture[/variant]; write linux/amd64 or linux/arm64/v8, say`,
    )
  }
  const [architecture, implied] = canonicalArchitecture(name)
  const said = variant === undefined ? implied : canonicalVariant(variant)
  const base = { os: canonicalOs(os), architecture }
  return said === undefined ? base : { ...base, variant: said }
}

export function formatPlatform(platform: Platform): string {
  const { os, architecture, variant } = platform
  return [os, architecture, ...(variant ? [variant] : [])].join('/')
}

/** Whether somebody who wants one platform takes an image for the other: arm64 is arm64/v8, arm is arm/v7. */
export function matchesPlatform(wanted: Platform, have: Platform): boolean {
  const [a, b] = [normalize(wanted), normalize(have)]
  if (a.os !== b.os || a.architecture !== b.architecture || a.variant !== b.variant) return false
  return wanted.osVersion === undefined || wanted.osVersion === have.osVersion
}

function normalize(platform: Platform) {
  const [architecture, implied] = canonicalArchitecture(platform.architecture)
  const variant = platform.variant ? canonicalVariant(platform.variant) : implied
  return {
    os: canonicalOs(platform.os),
    architecture,
    variant: variant ?? BASE_VARIANTS.get(architecture),
  }
}

function canonicalOs(os: string): string {
  const name = os.toLowerCase()
  return name === 'macos' ? 'darwin' : name
}

function canonicalArchitecture(text: string): readonly [string, string?] {
  const name = text.toLowerCase()
  return ALIASES.get(name) ?? [name]
}

/** `8` is `v8`. */
function canonicalVariant(text: string): string {
  return /^\d/.test(text) ? `v${text}` : text.toLowerCase()
}
