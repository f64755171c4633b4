import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { digestOf } from '../../../../src/oci/digest.ts'
import {
  FIND_IMAGE,
  FIND_LAYER,
  LAYER_BY_TARGET,
  LIST_LAYERS,
  listImagesQuery,
} from '../../../../src/store/postgres/conversions.ts'
import { FIND_LINK, HOLDERS, IS_PROVEN } from '../../../../src/store/postgres/links.ts'
import { lookupText } from '../../../../src/store/postgres/lookup.ts'
import { LIST_PLATFORMS } from '../../../../src/store/postgres/platforms.ts'
import { DESCRIBE } from '../../../../src/store/postgres/retention.ts'
import { FIND_TAG, LIST_ALL_TAGS, LIST_TAGS } from '../../../../src/store/postgres/tags.ts'
import {
  hasPostgres,
  START_MS,
  type TestDatabase,
  testDatabase,
} from '../../../helpers/postgres.ts'

/** Rows of each table: enough for the planner to prefer an index wherever there is one. */
const ROWS = 5_000

const DIGEST = digestOf(Buffer.from('x'))
const BYTES = Buffer.from(DIGEST.slice('sha256:'.length), 'hex')

const QUERIES: Readonly<
  Record<string, { readonly text: string; readonly values: readonly unknown[] }>
> = {
  'a tag': { text: textOf(FIND_TAG), values: [['u'], ['7'], ['t']] },
  'a link': { text: textOf(FIND_LINK), values: [['u'], ['7'], [BYTES]] },
  'an image': { text: textOf(FIND_IMAGE), values: [['u'], ['7'], [BYTES], [BYTES]] },
  platforms: { text: textOf(LIST_PLATFORMS), values: [['u'], ['7']] },
  'a layer': { text: FIND_LAYER, values: [BYTES, 'zstd', BYTES, 1] },
  'a layer by what it gave': { text: LAYER_BY_TARGET, values: [BYTES] },
  'layers of a source': { text: LIST_LAYERS, values: [BYTES] },
  'images of a source': listImagesQuery({ source: DIGEST }),
  'images that gave a manifest': listImagesQuery({ target: DIGEST }),
  'images that made a blob': listImagesQuery({ output: DIGEST }),
  'who holds a blob': { text: HOLDERS, values: [BYTES] },
  'whether an upstream has proven a blob': { text: IS_PROVEN, values: [BYTES, 'u'] },
  'what decides how long a blob stays': { text: DESCRIBE, values: [BYTES] },
  'a page of tags': { text: LIST_TAGS, values: ['u', '7', ''] },
  'a page of all tags': { text: LIST_ALL_TAGS, values: ['u', '7'] },
}

describe.skipIf(!hasPostgres)('a large catalog on PostgreSQL', () => {
  let database: TestDatabase
  beforeAll(async () => {
    database = await testDatabase()
    await using _ = await database.open()
    await database.client.query(FILL)
  }, START_MS)
  afterAll(async () => await database[Symbol.asyncDispose]())

  it.each(Object.entries(QUERIES))('finds %s by indexes alone', async (_, { text, values }) => {
    const { client } = database
    const names = values.map((_value, i) => `$${i + 1}`)

    // As it runs after some times: with a plan for any values.
    await client.query('SET plan_cache_mode = force_generic_plan')
    await client.query(`PREPARE asked AS ${text}`)
    const literals = values.map((value) => literal(value)).join(', ')
    const { rows } = await client.query(
      `EXPLAIN (FORMAT JSON) EXECUTE asked${names.length > 0 ? `(${literals})` : ''}`,
    )
    await client.query('DEALLOCATE asked')

    expect(wholeScansIn(rows[0])).toEqual([])
  })

  it('would show a question that reads a whole table', async () => {
    const { rows } = await database.client.query(
      "EXPLAIN (FORMAT JSON) SELECT FROM crossdock.images WHERE profile = 'x'",
    )

    expect(wholeScansIn(rows[0])).toEqual(['images'])
  })
})

const FILL = `
  INSERT INTO crossdock.repositories (upstream, name) SELECT 'u', i::text FROM generate_series(1, ${ROWS}) i;
  INSERT INTO crossdock.tags SELECT id, 't', sha256('x'), 1 FROM crossdock.repositories;
  INSERT INTO crossdock.links SELECT sha256(id::text::bytea), id, 1, NULL, 1, false, 1 FROM crossdock.repositories;
  INSERT INTO crossdock.platforms SELECT id, 'linux', 'amd64', '', '', 1 FROM crossdock.repositories;
  INSERT INTO crossdock.layers SELECT sha256(id::text::bytea), 'zstd', '{}', sha256('{}'), 1, sha256((-id)::text::bytea), 1,
    sha256('d'), 1, '{}', NULL FROM crossdock.repositories;
  INSERT INTO crossdock.images (repository, source, recipe, recipe_sum, target, size, media_type, profile, layers, outputs,
    converted_at, seconds) SELECT id, sha256(id::text::bytea), '{}', sha256('{}'), sha256((-id)::text::bytea), 1, 'm', 'p',
    '[]', '[]', 1, 1 FROM crossdock.repositories;
  INSERT INTO crossdock.outputs SELECT sha256(id::text::bytea), id FROM crossdock.images;
  INSERT INTO crossdock.usage SELECT sha256(id::text::bytea), 1 FROM crossdock.repositories;
  INSERT INTO crossdock.released SELECT sha256(id::text::bytea), 1 FROM crossdock.repositories;
  ANALYZE;
`

function textOf({
  types,
  find,
}: {
  readonly types: readonly string[]
  readonly find: string
}): string {
  return lookupText(types, find)
}

function literal(value: unknown): string {
  if (Array.isArray(value)) return `ARRAY[${value.map(literal).join(', ')}]`
  if (Buffer.isBuffer(value)) return `'\\x${value.toString('hex')}'::bytea`
  return typeof value === 'number' ? String(value) : `'${String(value)}'`
}

/** Tables that a plan reads from one end to the other. */
function wholeScansIn(plan: unknown): string[] {
  if (typeof plan !== 'object' || plan === null) return []
  const node = plan as Readonly<Record<string, unknown>>
  const own = node['Node Type'] === 'Seq Scan' ? [String(node['Relation Name'])] : []
  return [...own, ...Object.values(node).flatMap(wholeScansIn)]
}
