/** Every model, by the ids that corrections name. */
import type { Model } from './model.ts'

export const MODELS: readonly Model[] = []

export function findModel(id: number): Model | undefined {
  return MODELS.find((model) => model.id === id)
}
