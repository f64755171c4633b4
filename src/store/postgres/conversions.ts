/** Conversions on PostgreSQL: recipes of layers and images, found by source, by target and by what they made. */
import type { Digest } from '../../oci/digest.ts'
import type {
  ConversionCatalog,
  ConvertedImage,
  ConvertedLayer,
  ImageKey,
  LayerKey,
  KnownLayer,
} from '../../ports/conversions.ts'
import type { Journal } from '../../ports/journal.ts'
import { optionsText, recipeText } from '../../ports/recipe.ts'
import { type RecordedLayer, recorded, recordedLayer } from '../../recorded.ts'
import { imageInRow, layerInRow } from '../conversion-rows.ts'
import type { Answers } from './answers.ts'
import type { Database, Session } from './database.ts'
import type { Row, Value } from './driver.ts'
import { LINK_BESIDE, linkBeside, linkQuestion } from './links.ts'
import { Lookup, type LookupQuery } from './lookup.ts'
import { bytesOf } from '../column-values.ts'
import { columnsOf, malformed, numberIn, sumOfText, textOf } from './values.ts'

const IMAGE = `r.upstream, r.name, i.source, i.recipe, i.target, i.size, i.media_type, i.profile, i.layers,
  i.outputs, i.converted_at, i.seconds`

export const FIND_IMAGE: LookupQuery = {
  types: ['text', 'text', 'bytea', 'bytea'],
  find: `SELECT true AS is_found, ${IMAGE}, ${LINK_BESIDE}
    FROM crossdock.repositories r JOIN crossdock.images i ON i.repository = r.id
      LEFT JOIN crossdock.links l ON l.digest = i.target AND l.repository = r.id
    WHERE r.upstream = k.k1 AND r.name = k.k2 AND i.source = k.k3 AND i.recipe_sum = k.k4`,
}

/** By name: a newer build may add others, upon which PostgreSQL refuses what was prepared with an asterisk. */
const LAYER = `source, encoding, options, revision, target, size, diff_id, uncompressed_size, facts,
  fallback`

export const FIND_LAYER = `SELECT ${LAYER} FROM crossdock.layers
  WHERE source = $1 AND encoding = $2 AND options_sum = $3 AND revision = $4`

/** The recipe that gave the bytes directly comes before one that fell back to it; newer revisions come first. */
export const LAYER_BY_TARGET = `SELECT ${LAYER} FROM crossdock.layers WHERE target = $1 AND source <> target
  ORDER BY fallback IS NOT NULL, revision DESC, source, encoding, options LIMIT 1`

export const LIST_LAYERS = `SELECT ${LAYER} FROM crossdock.layers WHERE source = $1
  ORDER BY encoding, options, revision`

const PUT_LAYERS = `INSERT INTO crossdock.layers (source, encoding, options, options_sum, revision, target,
    size, diff_id, uncompressed_size, facts, fallback)
  SELECT * FROM unnest($1::bytea[], $2::text[], $3::text[], $4::bytea[], $5::integer[], $6::bytea[],
    $7::bigint[], $8::bytea[], $9::bigint[], $10::text[], $11::text[])
  ORDER BY 1, 2, 4, 5
  ON CONFLICT (source, encoding, options_sum, revision) DO UPDATE SET
    target = excluded.target, size = excluded.size, diff_id = excluded.diff_id,
    uncompressed_size = excluded.uncompressed_size, facts = excluded.facts, fallback = excluded.fallback`

const PUT_IMAGE = `INSERT INTO crossdock.images (repository, source, recipe, recipe_sum, target, size, media_type,
    profile, layers, outputs, converted_at, seconds)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
  ON CONFLICT (source, repository, recipe_sum) DO UPDATE SET
    target = excluded.target, size = excluded.size, media_type = excluded.media_type,
    profile = excluded.profile, layers = excluded.layers, outputs = excluded.outputs,
    converted_at = excluded.converted_at, seconds = excluded.seconds
  RETURNING id`

/** By name: a remembered number may be one of a server that is lost. */
const FORGET_IMAGE = `DELETE FROM crossdock.images i USING crossdock.repositories r
  WHERE r.upstream = $1 AND r.name = $2 AND i.repository = r.id AND i.source = $3
    AND i.recipe_sum = $4`

/** By which columns images can be listed. */
const LISTED_BY = {
  source: 'i.source = ',
  target: 'i.target = ',
  output: 'i.id IN (SELECT image FROM crossdock.outputs WHERE digest = ',
} as const

export class PostgresConversions implements ConversionCatalog {
  readonly #db: Database
  readonly #lookup: Lookup<ConvertedImage | undefined>
  readonly #journal: Journal | undefined

  constructor(db: Database, answers: Answers, journal: Journal | undefined) {
    this.#db = db
    this.#journal = journal
    this.#lookup = new Lookup(db, answers, FIND_IMAGE, ([row], _key, tell) => {
      if (row === undefined) return undefined
      const { target, ...image } = imageIn(row)
      tell(linkQuestion(image.repository, target), linkBeside(row, target))
      return { target, ...image }
    })
  }

  async findLayer(key: LayerKey): Promise<KnownLayer | undefined> {
    const values = [
      bytesOf(key.source),
      textOf(key.encoding),
      sumOfText(textOf(optionsText(key.options))),
      key.revision,
    ]
    return await this.#layer(FIND_LAYER, values)
  }

  async findLayerByTarget(target: Digest): Promise<ConvertedLayer | undefined> {
    const layer = await this.#layer(LAYER_BY_TARGET, [bytesOf(target)])
    return layer === undefined || 'refused' in layer ? undefined : layer
  }

  async listLayers(source: Digest): Promise<readonly KnownLayer[]> {
    const { rows } = await this.#db.query(LIST_LAYERS, [bytesOf(source)])
    return rows.map(layerIn)
  }

  async recordLayer(layer: KnownLayer): Promise<void> {
    await this.putLayers(this.#db, [layer])
  }

  async keepLayer(layer: ConvertedLayer): Promise<void> {
    await this.#journal?.keepRecipe(layer)
    await this.recordLayer(layer)
  }

  async putLayers(session: Session, layers: readonly KnownLayer[]): Promise<void> {
    const all = layers.map(recordedLayer)
    const last = [...new Map(all.map((layer) => [keyOf(layer), layer])).values()]
    if (last.length === 0) return
    await session.query(PUT_LAYERS, [
      last.map(({ source }) => bytesOf(source)),
      last.map(({ encoding }) => textOf(encoding)),
      last.map(({ options }) => textOf(options)),
      last.map(({ options }) => sumOfText(textOf(options))),
      last.map(({ revision }) => revision),
      last.map(({ target }) => bytesOf(target)),
      last.map(({ size }) => size),
      last.map(({ diffId }) => bytesOf(diffId)),
      last.map(({ uncompressedSize }) => uncompressedSize),
      last.map(({ facts }) => JSON.stringify(facts)),
      last.map(({ fallback }) => (fallback === undefined ? null : textOf(fallback))),
    ])
  }

  async findImage(key: ImageKey): Promise<ConvertedImage | undefined> {
    return await this.#lookup.find(imageQuestion(key), imageKey(key))
  }

  remember(key: ImageKey): void {
    this.#lookup.remember(imageQuestion(key), imageKey(key))
  }

  async listImages(by: {
    readonly source?: Digest
    readonly target?: Digest
    readonly output?: Digest
  }): Promise<readonly ConvertedImage[]> {
    const { text, values } = listImagesQuery(by)
    const { rows } = await this.#db.query(text, values)
    return rows.map(imageIn)
  }

  /** Within a transaction. */
  async putImage(session: Session, id: number, image: ConvertedImage): Promise<void> {
    const { recipe, layers } = recorded(image)
    const { rows } = await session.query(PUT_IMAGE, [
      id,
      bytesOf(image.source),
      textOf(recipe),
      sumOfText(textOf(recipe)),
      bytesOf(image.target),
      image.size,
      textOf(image.mediaType),
      textOf(image.recipe.profile),
      JSON.stringify(layers),
      JSON.stringify(image.outputs),
      image.convertedAt,
      image.seconds,
    ])
    const made = numberIn(rows[0] ?? {}, 'id')
    await session.query('DELETE FROM crossdock.outputs WHERE image = $1', [made])
    const digests = [...new Set(image.outputs.map(({ digest }) => digest))].map(bytesOf)
    await session.query(
      'INSERT INTO crossdock.outputs (digest, image) SELECT unnest($1::bytea[]), $2 ON CONFLICT DO NOTHING',
      [digests, made],
    )
  }

  async forgetImage(key: ImageKey): Promise<boolean> {
    const { upstream, name } = key.repository
    const { changes } = await this.#db.query(FORGET_IMAGE, [
      ...[upstream, name].map(textOf),
      bytesOf(key.source),
      sumOfText(textOf(recipeText(key.recipe))),
    ])
    this.#lookup.forget(imageQuestion(key))
    return changes > 0
  }

  async forgetLayer(target: Digest): Promise<boolean> {
    const text = 'DELETE FROM crossdock.layers WHERE target = $1'
    return (await this.#db.query(text, [bytesOf(target)])).changes > 0
  }

  async #layer(text: string, values: readonly Value[]): Promise<KnownLayer | undefined> {
    const [row] = (await this.#db.query(text, values)).rows
    return row && layerIn(row)
  }
}

/** Exported for those who look at its plan. */
export function listImagesQuery(by: Partial<Record<keyof typeof LISTED_BY, Digest | undefined>>) {
  const values: Uint8Array[] = []
  const where: string[] = []
  for (const column of ['source', 'target', 'output'] as const) {
    const digest = by[column]
    if (digest === undefined) continue
    values.push(bytesOf(digest))
    where.push(`${LISTED_BY[column]}$${values.length}${column === 'output' ? ')' : ''}`)
  }
  const text = `SELECT ${IMAGE} FROM crossdock.images i JOIN crossdock.repositories r ON r.id = i.repository
    ${where.length > 0 ? `WHERE ${where.join(' AND ')}` : ''} ORDER BY i.converted_at, i.id`
  return { text, values }
}

function imageQuestion({ repository, source, recipe }: ImageKey): string {
  return `image ${repository.upstream}/${repository.name}@${source} ${recipeText(recipe)}`
}

function imageKey({ repository, source, recipe }: ImageKey): readonly Value[] {
  const { upstream, name } = repository
  const recipeSum = sumOfText(textOf(recipeText(recipe)))
  return [textOf(upstream), textOf(name), bytesOf(source), recipeSum]
}

function keyOf({ source, encoding, options, revision }: RecordedLayer): string {
  return [source, encoding, options, revision].join('\n')
}

function layerIn(row: Row): KnownLayer {
  const layer = layerInRow(columnsOf(row))
  if (layer === undefined) throw malformed('options', row.options)
  return layer
}

function imageIn(row: Row): ConvertedImage {
  const image = imageInRow(columnsOf(row))
  if (image === undefined) throw malformed('recipe', row.recipe)
  return image
}
