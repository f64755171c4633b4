/** What became of the images of a command that goes on when one of them fails. */
import { formatImage } from '../admin/named-image.ts'
import type { WantedImage } from './image-lists.ts'
import { complain, describeError, EXIT, type Output } from './output.ts'

export type Outcome =
  | { readonly image: WantedImage }
  | { readonly image: WantedImage; readonly error: unknown }

export function failuresIn(outcomes: readonly Outcome[]): readonly Failure[] {
  return outcomes.flatMap((one) =>
    'error' in one ? [{ name: formatImage(one.image), text: describeFailure(one) }] : [],
  )
}

/** An image, and why it failed. */
export interface Failure {
  readonly name: string
  readonly text: string
}

/**
 * Lists failures at the end, where people look, and gives the exit code. `asked`: images in all, of which `tried` had their turn; of one
 * the table says it.
 */
export function sayFailures(
  failures: readonly Failure[],
  { asked, tried }: { readonly asked: number; readonly tried: number },
  output: Output,
): number {
  if (failures.length === 0) return EXIT.ok
  if (asked === 1) return EXIT.failed
  const rest = asked > tried ? `, ${asked - tried} not tried` : ''
  const lines = failures.map(({ name, text }) => `${name}: ${text}`)
  complain(output, [`${failures.length} of ${asked} images failed${rest}:`, ...lines].join('\n'))
  return EXIT.failed
}

/** With the line that asked for it. */
export function describeFailure({
  image,
  error,
}: {
  readonly image: Pick<WantedImage, 'from'>
  readonly error: unknown
}): string {
  return `${image.from === undefined ? '' : `${image.from}: `}${describeError(error)}`
}
