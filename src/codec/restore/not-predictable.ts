/** A stream that no model can be made to follow, sound as it may be: its original is carried. */
export class NotPredictableError extends Error {
  override readonly name = 'NotPredictableError'
}

/** What comes of a mistake in a model: the original is carried, too, but tests tell it apart. */
export class ModelError extends NotPredictableError {
  constructor(what: string) {
    super(`the model of its encoder ${what}`)
  }
}
