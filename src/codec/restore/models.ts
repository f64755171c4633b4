/** Every model, by the ids that corrections name. */
import { GO_MODELS } from './go/models.ts'
import { KLAUSPOST_MODELS } from './klauspost/models.ts'
import type { Model } from './model.ts'
import { ZLIB_MODELS } from './zlib/models.ts'

export const MODELS: readonly Model[] = [...ZLIB_MODELS, ...GO_MODELS, ...KLAUSPOST_MODELS]

export function findModel(id: number): Model | undefined {
  return MODELS.find((model) => model.id === id)
}
