/** What decoders complain about, told of the layer that they read. */
import { DecodeError } from '../codec/failure.ts'
import type { LayerTask } from './layer-task.ts'

/** Decoders do not know which layer they read; whoever is told about it must. */
export function naming(task: LayerTask, error: unknown): unknown {
  if (!(error instanceof DecodeError)) return error
  const { upstream, name } = task.repository
  return error.of(`layer ${task.source.digest} of ${upstream}/${name}`, adviceOn(error))
}

/** Decoders do not know either where their limits come from. */
function adviceOn({ reason }: DecodeError): string | undefined {
  if (reason === 'layer-too-large') return 'raise limits.layerUncompressed if it is real'
  if (reason === 'zstd-window') return 'raise limits.zstdWindowLog if it is real'
  return undefined
}
