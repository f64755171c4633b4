/** Ztocs made in this thread, and by the reference builder. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ZtocMaker, type ZtocOutcome } from '../../src/format/soci/ztoc.ts'
import { TOOLS } from './fixtures.ts'
import { type CommandResult, runCommand } from './fixtures-command.ts'

/** What the reference builder calls itself, so that its bytes can be compared. */
export const REFERENCE_TOOL = 'AWS SOCI CLI v0.2'
export const SPAN_SIZE = 4 * 1024 * 1024

export function ztocOf(
  layer: Uint8Array,
  spanSize = SPAN_SIZE,
  options: { readonly chunk?: number; readonly maxOutput?: number } = {},
): ZtocOutcome {
  const maker = new ZtocMaker({
    compression: layer[0] === 0x1f ? 'gzip' : 'none',
    spanSize,
    maxOutput: options.maxOutput ?? 2 ** 40,
    wants512: false,
    tool: REFERENCE_TOOL,
  })
  const chunk = options.chunk ?? 64 * 1024
  for (let at = 0; at < layer.byteLength; at += chunk) {
    const piece = Buffer.from(layer.subarray(at, at + chunk))
    maker.push(piece)
    piece.fill(0xaa)
  }
  return maker.finish()
}

/** Its bytes, or why there is none. */
export function bytesOf({ ztoc }: ZtocOutcome): Buffer | string {
  return ztoc.kind === 'made' ? Buffer.concat(ztoc.parts) : ztoc.reason
}

export async function referenceZtoc(
  layer: string,
  out: string,
  spanSize = SPAN_SIZE,
): Promise<Buffer | CommandResult> {
  const args = ['make', '--layer', layer, '--ztoc', out, '--span', String(spanSize)]
  const result = await runCommand(join(TOOLS, 'oracle-soci'), args, { env: { TZ: 'UTC' } })
  return result.status === 0 ? await readFile(out) : result
}
