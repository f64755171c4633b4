import { describe, expect, it } from 'vitest'
import { CrossdockError } from '../../../../src/errors.ts'
import {
  isGone,
  isPassingFailure,
  isRefusal,
  s3Failure,
} from '../../../../src/store/s3/s3-failures.ts'

const PLACE = { bucket: 'images', prefix: 'a/b' }

function answer(status: number, name = 'Error'): Error {
  const error = Object.assign(new Error('said S3'), { $metadata: { httpStatusCode: status } })
  error.name = name
  return error
}

function failed(name: string, code?: string): Error {
  return Object.assign(new Error('said Node'), { name, ...(code !== undefined && { code }) })
}

describe('a failure of S3', () => {
  it.each([
    [answer(403, 'AccessDenied'), 'internal', 's3-denied', 'check AWS_ACCESS_KEY_ID'],
    [answer(403), 'internal', 's3-denied', 'check AWS_ACCESS_KEY_ID'],
    [answer(403, 'SignatureDoesNotMatch'), 'internal', 's3-denied', 'access denied'],
    [answer(404, 'NoSuchBucket'), 'internal', 's3-no-bucket', 'make it'],
    [answer(301, 'PermanentRedirect'), 'internal', 's3-region', 'set region'],
    [answer(403, 'RequestTimeTooSkewed'), 'internal', 's3-clock', 'clock'],
    [answer(503, 'SlowDown'), 'overloaded', 's3-busy', 'try again'],
    [answer(500, 'InternalError'), 'overloaded', 's3-busy', 'try again'],
    [answer(429), 'overloaded', 's3-busy', 'try again'],
    [answer(507), 'storeFull', 's3-full', 'free space'],
    [failed('Error', 'ECONNRESET'), 'overloaded', 's3-unreachable', 'the connection to it broke'],
    [failed('Error', 'ENOTFOUND'), 'overloaded', 's3-unreachable', 'it cannot be reached'],
    [failed('TimeoutError', 'ECONNRESET'), 'overloaded', 's3-unreachable', 'http:// or https://'],
    [failed('Error', 'CERT_HAS_EXPIRED'), 'overloaded', 's3-certificate', 'NODE_EXTRA_CA_CERTS'],
    [failed('Error', 'EPROTO'), 'overloaded', 's3-tls', 'http:// or https://'],
    [answer(404, 'XAdminUserNotFound'), 'internal', 's3-denied', 'check AWS_ACCESS_KEY_ID'],
    [answer(400, 'InvalidBucketName'), 'internal', 's3-no-bucket', 'correct store.blobs'],
    [failed('Error', 'ECONNREFUSED'), 'overloaded', 's3-unreachable', 'check that it runs'],
    [failed('TimeoutError'), 'overloaded', 's3-slow', 'in time'],
    [failed('AbortError'), 'overloaded', 's3-slow', 'in time'],
    [failed('CredentialsProviderError'), 'internal', 's3-no-credentials', 'AWS_PROFILE'],
    [failed('Strange'), 'internal', 's3-failed', 'said Node'],
  ])('like %s is an error of kind %s that says what to do', (cause, kind, reason, text) => {
    const error = s3Failure('read blob x', PLACE, cause)

    expect(error).toMatchObject({ kind, reason, cause })
    expect(error.message).toContain('cannot read blob x in s3://images/a/b: ')
    expect(error.message).toContain(text)
    expect(error.told).toMatch(/^the store of blobs \(S3\) (?:cannot be used|has no room left)/)
    expect(error.told).not.toMatch(/images|store\.blobs|said/)
    expect(error.told.length).toBeLessThan(120)
    expect(isPassingFailure(cause)).toBe(kind === 'overloaded')
  })

  it('that was told already is left as it is', () => {
    const told = new CrossdockError('overloaded', 'told')

    expect(s3Failure('read', PLACE, told)).toBe(told)
    expect(isPassingFailure(told)).toBe(true)
  })

  it('says that an object is gone, and never that of a bucket', () => {
    expect(isGone(answer(404, 'NoSuchKey'))).toBe(true)
    expect(isGone(answer(412, 'PreconditionFailed'))).toBe(true)
    expect(isGone(answer(404, 'NoSuchBucket'))).toBe(false)
    expect(isRefusal(answer(409, 'ConditionalRequestConflict'))).toBe(true)
    expect(isRefusal(answer(503, 'SlowDown'))).toBe(false)
  })
})
