/** Conversions of a bundle: how they are proven, and what is said of one that is not what it says. */
import { CrossdockError } from '../errors.ts'
import { findFormat } from '../format/formats.ts'
import type { BundledConversion } from './description.ts'

/** True for a conversion that only its source can prove. */
export function isProvenByRemaking({ recipe }: Pick<BundledConversion, 'recipe'>): boolean {
  return findFormat(recipe.format)?.encoding.tar === 'absent'
}

export function misfiled(
  { repository, source, target, recipe }: BundledConversion,
  why: string,
  cause?: unknown,
): CrossdockError {
  const { upstream, name } = repository
  return new CrossdockError(
    'badDigest',
    `the bundle says that ${target} is the ${recipe.profile} form of ${upstream}/${name}@${source}, and it is not: ${why}; do not use this bundle, export the images again`,
    { cause, reason: 'conversion' },
  )
}
