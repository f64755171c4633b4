/** Conversions on SQLite: recipes of layers and images, found by source and by target. */
import type { Digest } from '../oci/digest.ts'
import type {
  ConversionCatalog,
  ConvertedImage,
  ConvertedLayer,
  ImageKey,
  LayerKey,
} from '../ports.ts'
import type { Database, Row } from './sqlite-database.ts'
import { bytesOf, digestIn, intern, numberIn, REPOSITORY_ID, textIn } from './sqlite-values.ts'

const IMAGES =
  'SELECT images.*, upstream, name FROM images JOIN repositories r ON r.id = repository'

export class SqliteConversions implements ConversionCatalog {
  readonly #db: Database

  constructor(db: Database) {
    this.#db = db
  }

  async findLayer(key: LayerKey): Promise<ConvertedLayer | undefined> {
    const row = this.#db.get(
      'SELECT * FROM layers WHERE source = ? AND encoding = ? AND options = ? AND revision = ?',
      bytesOf(key.source),
      key.encoding,
      key.options,
      key.revision,
    )
    return row && layerIn(row)
  }

  async findLayerByTarget(target: Digest): Promise<ConvertedLayer | undefined> {
    // The recipe that gave the bytes directly comes before one that fell back to it; newer revisions come first.
    const row = this.#db.get(
      `SELECT * FROM layers WHERE target = ?
       ORDER BY fallback IS NOT NULL, revision DESC, source, encoding, options LIMIT 1`,
      bytesOf(target),
    )
    return row && layerIn(row)
  }

  async recordLayer(layer: ConvertedLayer): Promise<void> {
    this.#db.run(
      `INSERT OR REPLACE INTO layers (source, encoding, options, revision, target, size, diff_id,
         uncompressed_size, facts, fallback) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      bytesOf(layer.source),
      layer.encoding,
      layer.options,
      layer.revision,
      bytesOf(layer.target),
      layer.size,
      bytesOf(layer.diffId),
      layer.uncompressedSize,
      JSON.stringify(layer.facts),
      layer.fallback ?? null,
    )
  }

  async findImage({ repository, source, recipe }: ImageKey): Promise<ConvertedImage | undefined> {
    const { upstream, name } = repository
    return this.#db.recall(`image ${upstream}/${name}@${source} ${recipe}`, () => {
      const row = this.#db.get(
        `${IMAGES} WHERE source = ? AND repository = ${REPOSITORY_ID} AND recipe = ?`,
        bytesOf(source),
        upstream,
        name,
        recipe,
      )
      return row && imageIn(row)
    })
  }

  async listImages(by: {
    readonly source?: Digest
    readonly target?: Digest
  }): Promise<readonly ConvertedImage[]> {
    const wanted = Object.entries({ source: by.source, target: by.target }).filter(
      (entry): entry is [string, Digest] => entry[1] !== undefined,
    )
    const where = wanted.map(([column]) => ` ${column} = ?`).join(' AND')
    const rows = this.#db.all(
      `${IMAGES}${where && ` WHERE${where}`} ORDER BY converted_at, images.id`,
      ...wanted.map(([, digest]) => bytesOf(digest)),
    )
    return rows.map(imageIn)
  }

  async recordImage(image: ConvertedImage): Promise<void> {
    this.#db.transaction(() => {
      this.#db.run(
        `INSERT OR REPLACE INTO images (repository, source, recipe, target, size, media_type, profile,
           layers, converted_at, seconds) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
        intern(this.#db, image.repository),
        bytesOf(image.source),
        image.recipe,
        bytesOf(image.target),
        image.size,
        image.mediaType,
        image.profile,
        JSON.stringify(image.layers),
        image.convertedAt,
        image.seconds,
      )
    })
  }

  async forgetImage({ repository, source, recipe }: ImageKey): Promise<boolean> {
    const changed = this.#db.run(
      `DELETE FROM images WHERE source = ? AND repository = ${REPOSITORY_ID} AND recipe = ?`,
      bytesOf(source),
      repository.upstream,
      repository.name,
      recipe,
    )
    return changed > 0
  }

  async forgetLayer(target: Digest): Promise<boolean> {
    return this.#db.run('DELETE FROM layers WHERE target = ?', bytesOf(target)) > 0
  }
}

function layerIn(row: Row): ConvertedLayer {
  return {
    source: digestIn(row, 'source'),
    encoding: textIn(row, 'encoding'),
    options: textIn(row, 'options'),
    revision: numberIn(row, 'revision'),
    target: digestIn(row, 'target'),
    size: numberIn(row, 'size'),
    diffId: digestIn(row, 'diff_id'),
    uncompressedSize: numberIn(row, 'uncompressed_size'),
    facts: JSON.parse(textIn(row, 'facts')) as ConvertedLayer['facts'],
    ...(row.fallback !== null && { fallback: textIn(row, 'fallback') }),
  }
}

function imageIn(row: Row): ConvertedImage {
  return {
    repository: { upstream: textIn(row, 'upstream'), name: textIn(row, 'name') },
    source: digestIn(row, 'source'),
    recipe: textIn(row, 'recipe'),
    target: digestIn(row, 'target'),
    size: numberIn(row, 'size'),
    mediaType: textIn(row, 'media_type'),
    profile: textIn(row, 'profile'),
    layers: JSON.parse(textIn(row, 'layers')) as ConvertedImage['layers'],
    convertedAt: numberIn(row, 'converted_at'),
    seconds: numberIn(row, 'seconds'),
  }
}
