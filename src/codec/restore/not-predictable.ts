/** A stream that no model can be made to follow, sound as it may be: its original is carried. */
export class NotPredictableError extends Error {
  override readonly name = 'NotPredictableError'
}
