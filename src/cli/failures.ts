/** What became of the images of a command that goes on when one of them fails. */
import type { WantedImage } from './image-lists.ts'
import { complain, describeError, EXIT, type Output } from './output.ts'
import { formatImage } from './references.ts'

export type Outcome =
  | { readonly image: WantedImage }
  | { readonly image: WantedImage; readonly error: unknown }

/** Lists failures at the end, where people look, and gives the exit code. `asked`: images in all; of one the table says it. */
export function sayFailures(outcomes: readonly Outcome[], asked: number, output: Output): number {
  const failed = outcomes.flatMap((one) => ('error' in one ? [one] : []))
  if (failed.length === 0) return EXIT.ok
  if (asked === 1) return EXIT.failed
  const left = asked - outcomes.length
  const rest = left > 0 ? `, ${left} not tried` : ''
  const lines = failed.map((one) => `${formatImage(one.image)}: ${describeFailure(one)}`)
  complain(output, [`${failed.length} of ${asked} images failed${rest}:`, ...lines].join('\n'))
  return EXIT.failed
}

/** With the line that asked for it. */
export function describeFailure({
  image,
  error,
}: {
  readonly image: WantedImage
  readonly error: unknown
}): string {
  return `${image.from === undefined ? '' : `${image.from}: `}${describeError(error)}`
}
