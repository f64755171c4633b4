/** Errors of decoders, worded once. */
import { CrossdockError, type FailureDetails } from '../errors.ts'
import type { Compression } from './codec.ts'

/** Something that cannot be decoded. Decoders do not know what they read; whoever does puts its name into the message. */
export class DecodeError extends CrossdockError {
  readonly #what: string
  readonly #kind: 'badManifest' | 'badSize'
  readonly #details: FailureDetails

  constructor(
    kind: 'badManifest' | 'badSize',
    what: string,
    details: FailureDetails,
    subject = 'layer',
  ) {
    super(kind, `${subject} ${what}`, details)
    this.#kind = kind
    this.#what = what
    this.#details = details
  }

  get plain(): PlainDecodeError {
    return { kind: this.#kind, what: this.#what, reason: this.reason }
  }

  static fromPlain({ kind, what, reason }: PlainDecodeError): DecodeError {
    return new DecodeError(kind, what, reason === undefined ? {} : { reason })
  }

  /** The same of something with a name; `advice` says what to do. */
  of(subject: string, advice?: string): DecodeError {
    const what = advice === undefined ? this.#what : `${this.#what}; ${advice}`
    return new DecodeError(this.#kind, what, { ...this.#details, cause: this }, subject)
  }
}

/** What a DecodeError says, to be told to another thread. */
export interface PlainDecodeError {
  readonly kind: 'badManifest' | 'badSize'
  readonly what: string
  readonly reason: string | undefined
}

export function corrupt(
  compression: Compression,
  what: string,
  reason: 'truncated' | 'corrupt' | 'trailing-data' | 'dictionary',
  cause?: unknown,
): DecodeError {
  return new DecodeError(
    'badManifest',
    `cannot be decompressed: its ${compression} data has ${what}`,
    { reason: `${compression}-${reason}`, cause },
  )
}

export function beyondLimit(compression: Compression, maxOutput: number): DecodeError {
  return new DecodeError(
    'badSize',
    `is refused: its ${compression} data unpacks to more than ${maxOutput} bytes`,
    { reason: 'layer-too-large' },
  )
}
