/** What a client and the log are told of a conversion that there is not. */
import { expect, test } from 'vitest'
import type { Profile } from '../../../src/config/profiles.ts'
import { type Sought, type UnfulfilledWish, Wishes } from '../../../src/convert/wishes.ts'
import { CrossdockError } from '../../../src/errors.ts'
import { digestOf } from '../../../src/oci/digest.ts'

const profile: Profile = {
  ...{ name: 'zstd', aliases: [], format: undefined, options: {} },
  ...{ platforms: 'all', record: undefined, onSlow: 'wait' },
}
const bytes = Buffer.from('{}')
const sought: Omit<Sought, 'wanted'> = {
  ...{ repository: { upstream: 'local', name: 'app' }, tag: '1' },
  plain: {
    ...{ digest: digestOf(bytes), bytes, mediaType: 'application/json' },
    ...{ warnings: [], stale: false },
    from: 'store',
  },
}

test('clients are told of a store that fails in words for clients, and the log in all', () => {
  const message = 'cannot use s3://images: access denied; check AWS_ACCESS_KEY_ID'
  const error = new CrossdockError('internal', message, { told: 'the store cannot be used' })
  const told: UnfulfilledWish[] = []
  const wishes = new Wishes({ unfulfilled: (wish) => told.push(wish) })
  const wished: Sought = { ...sought, wanted: { kind: 'wish', profile } }

  expect(wishes.failed(wished, error).warnings).toEqual([
    'local/app:1 comes as the original, not as zstd: the store cannot be used',
  ])
  expect(told).toMatchObject([{ message }])
  const demanded = () => wishes.failed({ ...sought, wanted: { kind: 'demand', profile } }, error)
  expect(demanded).toThrow(/^local\/app:1 cannot be converted to zstd: the store cannot be used; /)
})
