/** Where a store lies on S3, as types only. */

export interface S3Place {
  readonly bucket: string
  /** In front of every key, without slashes at its ends; empty: none. */
  readonly prefix: string
  /** URL of a server that speaks S3; `undefined`: Amazon's own. */
  readonly endpoint?: string | undefined
  /** `undefined`: from the environment, and where there is an endpoint `us-east-1`. */
  readonly region?: string | undefined
  /** `https://host/bucket/key` in place of `https://bucket.host/key`. */
  readonly forcePathStyle?: boolean | undefined
}

/** Times and counts that tests lower. */
export interface S3Limits {
  readonly connectMs: number
  /** Without any byte, in either direction. */
  readonly idleMs: number
  /** For a small question with all its tries. */
  readonly answerMs: number
  /** Tries of one request. */
  readonly tries: number
  /** A blob beyond this is uploaded in parts of this size, bytes; S3 wants 5 MiB at least. */
  readonly partSize: number
  /** Uploads that are listed at a time; S3 gives 1,000 at most. */
  readonly page: number
}

export const S3_LIMITS: S3Limits = {
  connectMs: 3_000,
  idleMs: 20_000,
  answerMs: 30_000,
  tries: 5,
  partSize: 8 * 1024 * 1024,
  page: 1000,
}

/** For people. */
export function nameOf({ bucket, prefix }: S3Place): string {
  return prefix === '' ? `s3://${bucket}` : `s3://${bucket}/${prefix}`
}
