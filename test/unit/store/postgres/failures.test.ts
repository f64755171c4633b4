/** What is said of a PostgreSQL that fails, to clients and to whoever runs the server. */
import { expect, test } from 'vitest'
import {
  otherCatalogFailure,
  postgresFailure,
  refusal,
  silentFailure,
  standbyFailure,
} from '../../../../src/store/postgres/failures.ts'

const ADDRESS = 'db.internal:5432/crossdock'

function state(code: string): Error {
  return Object.assign(new Error('said at 10.0.0.7:5432'), { code, severity: 'ERROR' })
}

test.each([
  ['that refuses connections', postgresFailure(ADDRESS, new Error('connect 10.0.0.7:5432')), 'now'],
  ['without a connection left', postgresFailure(ADDRESS, state('53300')), 'now'],
  ['with a full disk', postgresFailure(ADDRESS, state('53100')), 'room'],
  ['that refuses the password', postgresFailure(ADDRESS, state('28P01')), 'log'],
  ['with an error of its own', postgresFailure(ADDRESS, state('XX000')), 'log'],
  ['that says nothing', silentFailure(ADDRESS), 'now'],
  ['that is a standby', standbyFailure(ADDRESS), 'now'],
  ['that is another one', otherCatalogFailure(ADDRESS), 'now'],
  ['that cannot be used', refusal(ADDRESS, 'see store.catalog', 'x'), 'log'],
])('of one %s clients are told neither addresses nor what to configure', (_, error, word) => {
  expect(error.message).toContain(ADDRESS)
  expect(error.told).toMatch(/^the catalog \(PostgreSQL\) (?:cannot be used|has no room left)/)
  expect(error.told).toMatch(new RegExp(`\\b${word}\\b`))
  expect(error.told).not.toMatch(/internal|5432|store\.catalog/)
  expect(error.told.length).toBeLessThan(120)
})
