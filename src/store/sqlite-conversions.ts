/** Conversions on SQLite: recipes of layers and images, found by source and by target. */
import type { Digest } from '../oci/digest.ts'
import type {
  ConversionCatalog,
  ConvertedImage,
  ConvertedLayer,
  ImageKey,
  LayerKey,
  KnownLayer,
} from '../ports/conversions.ts'
import type { Journal } from '../ports/journal.ts'
import { optionsText, recipeText } from '../ports/recipe.ts'
import { recorded, recordedLayer } from '../recorded.ts'
import { imageInRow, layerInRow } from './conversion-rows.ts'
import { catalogDamaged } from './failures.ts'
import type { Database } from './sqlite-database.ts'
import type { Row } from './sqlite-row.ts'
import { soundIn, sumOf } from './sqlite-sums.ts'
import { bytesOf } from './column-values.ts'
import { columnsOf, intern, numberIn, REPOSITORY_ID } from './sqlite-values.ts'

const IMAGES =
  'SELECT images.*, upstream, name FROM images JOIN repositories r ON r.id = repository'

export class SqliteConversions implements ConversionCatalog {
  readonly #db: Database
  readonly #journal: Journal | undefined

  /** `journal`: left out while the catalog is made from it. */
  constructor(db: Database, journal?: Journal) {
    this.#db = db
    this.#journal = journal
  }

  async findLayer(key: LayerKey): Promise<KnownLayer | undefined> {
    return this.#db.mending(() => {
      const { encoding, revision } = key
      const options = optionsText(key.options)
      const asked = { source: bytesOf(key.source), encoding, options, revision }
      const row = this.#db.get(
        'SELECT * FROM layers WHERE source = ? AND encoding = ? AND options = ? AND revision = ?',
        ...Object.values(asked),
      )
      return row && layerIn(soundIn('layers', row, asked))
    })
  }

  async findLayerByTarget(target: Digest): Promise<ConvertedLayer | undefined> {
    return this.#db.mending(() => {
      const asked = { target: bytesOf(target) }
      // The recipe that gave the bytes directly comes before one that fell back to it; newer revisions come first.
      const rows = this.#db.all(
        `SELECT * FROM layers WHERE target = ? AND source <> target
         ORDER BY fallback IS NOT NULL, revision DESC, source, encoding, options`,
        asked.target,
      )
      for (const row of rows) {
        const layer = layerIn(soundIn('layers', row, asked))
        if (!('refused' in layer)) return layer
      }
      return undefined
    })
  }

  async listLayers(source: Digest): Promise<readonly KnownLayer[]> {
    return this.#db.mending(() => {
      const asked = { source: bytesOf(source) }
      const rows = this.#db.all(
        'SELECT * FROM layers WHERE source = ? ORDER BY encoding, options, revision',
        asked.source,
      )
      return rows.map((row) => layerIn(soundIn('layers', row, asked)))
    })
  }

  async recordLayer(layer: KnownLayer): Promise<void> {
    await this.#db.mending(() => this.putLayer(layer))
  }

  async keepLayer(layer: ConvertedLayer): Promise<void> {
    await this.#journal?.keepRecipe(layer)
    await this.recordLayer(layer)
  }

  putLayer(record: KnownLayer): void {
    const layer = recordedLayer(record)
    const { encoding, options, revision, size } = layer
    const row = {
      ...{ source: bytesOf(layer.source), encoding, options, revision },
      ...{ target: bytesOf(layer.target), size, diff_id: bytesOf(layer.diffId) },
      uncompressed_size: layer.uncompressedSize,
      facts: JSON.stringify(layer.facts),
      fallback: layer.fallback ?? null,
    }
    this.#db.run(
      `INSERT OR REPLACE INTO layers (source, encoding, options, revision, target, size, diff_id,
         uncompressed_size, facts, fallback, sum) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      ...Object.values(row),
      sumOf('layers', row),
    )
  }

  async findImage({ repository, source, ...key }: ImageKey): Promise<ConvertedImage | undefined> {
    const { upstream, name } = repository
    const recipe = recipeText(key.recipe)
    const find = () => {
      const asked = { upstream, name, source: bytesOf(source), recipe }
      const row = this.#db.get(
        `${IMAGES} WHERE source = ? AND repository = ${REPOSITORY_ID} AND recipe = ?`,
        asked.source,
        upstream,
        name,
        recipe,
      )
      return row && imageIn(soundIn('images', row, asked))
    }
    return this.#db.mending(() =>
      this.#db.recall(`image ${upstream}/${name}@${source} ${recipe}`, find),
    )
  }

  async listImages(by: {
    readonly source?: Digest
    readonly target?: Digest
    readonly output?: Digest
  }): Promise<readonly ConvertedImage[]> {
    const { output } = by
    const asked = {
      ...(by.source !== undefined && { source: bytesOf(by.source) }),
      ...(by.target !== undefined && { target: bytesOf(by.target) }),
    }
    const where = Object.keys(asked).map((column) => ` ${column} = ?`)
    if (output !== undefined)
      where.push(' images.id IN (SELECT image FROM outputs WHERE digest = ?)')
    return this.#db.mending(() => {
      const rows = this.#db.all(
        `${IMAGES}${where.length > 0 ? ` WHERE${where.join(' AND')}` : ''}
         ORDER BY converted_at, images.id`,
        ...Object.values(asked),
        ...(output === undefined ? [] : [bytesOf(output)]),
      )
      return rows.map((row) => imageIn(soundIn('images', row, asked)))
    })
  }

  /** Within a transaction. */
  putImage(image: ConvertedImage): void {
    const { upstream, name } = image.repository
    const { recipe, layers } = recorded(image)
    const row = {
      ...{ source: bytesOf(image.source), recipe },
      ...{ target: bytesOf(image.target), size: image.size, media_type: image.mediaType },
      ...{ profile: image.recipe.profile, layers: JSON.stringify(layers) },
      outputs: JSON.stringify(image.outputs),
      ...{ converted_at: image.convertedAt, seconds: image.seconds },
    }
    const repository = intern(this.#db, image.repository)
    this.#delete(repository, row.source, row.recipe)
    const made = this.#db.get(
      `INSERT INTO images (repository, source, recipe, target, size, media_type, profile,
         layers, outputs, converted_at, seconds, sum) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         RETURNING id`,
      repository,
      ...Object.values(row),
      sumOf('images', { upstream, name, ...row }),
    )
    if (made !== undefined) this.#putOutputs(numberIn(made, 'id'), image.outputs)
  }

  async forgetImage({ repository, source, recipe }: ImageKey): Promise<boolean> {
    const { upstream, name } = repository
    const sql = 'SELECT id FROM repositories WHERE upstream = ? AND name = ?'
    return await this.#db.mending(() =>
      this.#db.transaction(() => {
        const row = this.#db.get(sql, upstream, name)
        const text = recipeText(recipe)
        return row !== undefined && this.#delete(numberIn(row, 'id'), bytesOf(source), text)
      }),
    )
  }

  async forgetLayer(target: Digest): Promise<boolean> {
    const changed = await this.#db.mending(() =>
      this.#db.run('DELETE FROM layers WHERE target = ?', bytesOf(target)),
    )
    return changed > 0
  }

  #delete(repository: number, source: Uint8Array, recipe: string): boolean {
    const where = 'WHERE source = ? AND repository = ? AND recipe = ?'
    const asked = [source, repository, recipe]
    this.#db.run(`DELETE FROM outputs WHERE image IN (SELECT id FROM images ${where})`, ...asked)
    return this.#db.run(`DELETE FROM images ${where}`, ...asked) > 0
  }

  #putOutputs(image: number, outputs: ConvertedImage['outputs']): void {
    for (const { digest } of outputs) {
      const row = { digest: bytesOf(digest), image }
      this.#db.run(
        'INSERT OR REPLACE INTO outputs (digest, image, sum) VALUES (?, ?, ?)',
        ...Object.values(row),
        sumOf('outputs', row),
      )
    }
  }
}

function layerIn(row: Row): KnownLayer {
  const layer = layerInRow(columnsOf(row))
  if (layer === undefined) throw catalogDamaged('a layer has options that are none')
  return layer
}

function imageIn(row: Row): ConvertedImage {
  const image = imageInRow(columnsOf(row))
  if (image === undefined) throw catalogDamaged('an image has a recipe that is none')
  return image
}
