/** Loads Amazon's client, which is there only for those whose store lies on S3, and opens it for one bucket. */
import type { S3Client } from '@aws-sdk/client-s3'
import { CrossdockError } from '../../errors.ts'
import { nameOf, type S3Limits, type S3Place } from './place.ts'

export type Sdk = typeof import('@aws-sdk/client-s3')

/** Sockets to S3; more requests wait for one. */
const MAX_SOCKETS = 64

/** Where an endpoint of one's own has no regions. */
const ANY_REGION = 'us-east-1'

export async function loadSdk(): Promise<Sdk> {
  try {
    return await import('@aws-sdk/client-s3')
  } catch (cause) {
    throw new CrossdockError(
      'internal',
      'store.blobs lies on S3, but @aws-sdk/client-s3 is not installed; install crossdock with its optional dependencies (npm install --include=optional)',
      { cause, reason: 's3-no-client' },
    )
  }
}

/** Needed only where clients are sent to S3. */
export async function loadPresigner(): Promise<typeof import('@aws-sdk/s3-request-presigner')> {
  try {
    return await import('@aws-sdk/s3-request-presigner')
  } catch (cause) {
    throw new CrossdockError(
      'internal',
      'store.redirect is on, but @aws-sdk/s3-request-presigner is not installed; install crossdock with its optional dependencies (npm install --include=optional)',
      { cause, reason: 's3-no-client' },
    )
  }
}

export function createClient(sdk: Sdk, place: S3Place, limits: S3Limits): S3Client {
  const { endpoint, forcePathStyle = false } = place
  const region = place.region ?? (endpoint === undefined ? undefined : ANY_REGION)
  const agent = { maxSockets: MAX_SOCKETS, keepAlive: true }
  return new sdk.S3Client({
    ...(endpoint !== undefined && { endpoint }),
    ...(region !== undefined && { region }),
    forcePathStyle,
    maxAttempts: limits.tries,
    // Others than Amazon know no checksums of the newest kind; what is sent is signed by its SHA-256 anyway.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    // Asking before each part costs a round trip, and seconds where nobody answers that.
    expectContinueHeader: false,
    requestHandler: {
      connectionTimeout: limits.connectMs,
      socketTimeout: limits.idleMs,
      httpAgent: agent,
      httpsAgent: agent,
    },
  })
}

/** Throws where neither the configuration nor the environment says it. */
export async function checkRegion({ config }: S3Client, place: S3Place): Promise<void> {
  try {
    await config.region()
  } catch (cause) {
    throw new CrossdockError(
      'internal',
      `it is not said in which region ${nameOf(place)} lies; set region in store.blobs or AWS_REGION`,
      { cause, reason: 's3-region' },
    )
  }
}
