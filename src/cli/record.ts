/** `crossdock record show|export|push`: which files of an image come first, read, kept and published. */
import { formatImage, type NamedImage } from '../admin/named-image.ts'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { App } from '../app.ts'
import { pushRecord } from '../bundle/record-pushes.ts'
import { isPending } from '../convert/asks.ts'
import { Inventory } from '../convert/inventory.ts'
import { isRecordPath, readRecord } from '../priorities/record-files.ts'
import type { ImageRecord } from '../priorities/record-images.ts'
import { CrossdockError } from '../errors.ts'
import { type RecordLine, writeRecord } from '../format/priorities.ts'
import { oneLine } from '../lib/printable.ts'
import { streamOf } from '../lib/streams.ts'
import type { Digest } from '../oci/digest.ts'
import type { Platform } from '../oci/manifest.ts'
import { parsePlatform } from '../oci/platform.ts'
import { parseReference } from '../oci/reference.ts'
import { describeError, EXIT, UsageError } from './output.ts'
import { showProgress } from './progress-view.ts'
import { parseImage } from './references.ts'
import { type CommonOptions, openSession, openToLook } from './session.ts'
import type { System } from './system.ts'

export interface RecordOptions extends CommonOptions {
  readonly platform?: string
}

export async function recordShowCommand(
  ref: string,
  options: RecordOptions,
  system: System,
): Promise<number> {
  await using app = await openToLook(options, system)
  const image = parseImage(ref, app)
  const found = await readImage(image, options, app, system)
  const { kind, digest } = found
  const layers = layersOf(found)
  const name = formatImage(image)
  system.output.out(
    options.json
      ? `${JSON.stringify({ name, digest, kind, layers }, null, 2)}\n`
      : formatLayers(name, found, layers),
  )
  return EXIT.ok
}

export async function recordExportCommand(
  ref: string,
  options: RecordOptions & { readonly output: string },
  system: System,
): Promise<number> {
  await using app = await openToLook(options, system)
  const { lines } = await readImage(parseImage(ref, app), options, app, system)
  if (options.output === '-') {
    system.output.out(writeRecord(lines))
    return EXIT.ok
  }
  const path = resolve(system.cwd, options.output)
  await writeFile(path, writeRecord(lines))
  const summary = { file: path, lines: lines.length }
  system.output.out(
    options.json ? `${JSON.stringify(summary, null, 2)}\n` : `${path}  ${countOf(lines.length)}\n`,
  )
  return EXIT.ok
}

export async function recordPushCommand(
  from: string,
  to: string,
  options: RecordOptions & { readonly attach?: boolean },
  system: System,
): Promise<number> {
  await using app = await openSession(options, system)
  const { host, ...target } = targetOf(to, app)
  const path = resolve(system.cwd, from)
  const isFile = isRecordPath(from) || (await stat(path).catch(() => undefined))?.isFile()
  const [fallback] = platformsOf(options, app)
  const { lines, platform = fallback } = isFile
    ? { lines: await readRecordFile(path) }
    : await readImage(parseImage(from, app), options, app, system)
  if (lines.length === 0) {
    throw new CrossdockError('requestInvalid', `${from} lists no files; there is nothing to push`)
  }
  if (platform === undefined) throw new Error('some platform is always configured')
  const registry = app.upstreams.writer(host)
  const attach = options.attach ?? false
  const digest = await pushRecord(lines, platform, registry, { ...target, attach })
  const what = { target: to, digest, lines: lines.length, attached: attach }
  system.output.out(
    options.json
      ? `${JSON.stringify(what, null, 2)}\n`
      : `${to}  ${digest}  ${countOf(lines.length)}\n`,
  )
  return EXIT.ok
}

interface FoundRecord extends ImageRecord {
  readonly digest: Digest
  readonly platform?: Platform | undefined
}

/** What a puller of the reference would get: with a suffix the conversion, made if it is not there. */
async function readImage(
  image: NamedImage,
  options: RecordOptions,
  app: App,
  system: System,
): Promise<FoundRecord> {
  const { repository, reference } = image
  const platforms = platformsOf(options, app)
  if ('tag' in reference) await announceConversion(image, reference.tag, app, system)
  using _view = showProgress(app.progress, system.output)
  const answer =
    'digest' in reference
      ? await app.pulls.byDigest(repository, reference.digest, undefined)
      : await app.pulls.byTag({
          repository,
          tag: reference.tag,
          wanted: undefined,
          acceptance: 'any',
          cannotRead: () => undefined,
        })
  const { digest } = isPending(answer) ? await answer.answer : answer
  const record = await app.recordImages.read(repository, digest, platforms)
  const { os, architecture } = await app.manifests.config(repository, record.manifest)
  const isKnown = os !== undefined && architecture !== undefined
  return { ...record, digest, ...(isKnown && { platform: { os, architecture } }) }
}

/** Says when an image has to be converted first, and throws when that would be in vain. */
async function announceConversion(
  image: NamedImage,
  tag: string,
  app: App,
  system: System,
): Promise<void> {
  const named = await new Inventory(app).resolve(image.repository, tag)
  const profile = named?.profile === undefined ? undefined : app.profiles.find(named.profile)
  if (profile?.format === undefined) return
  const name = formatImage(image)
  if (!profile.format.encoding.takesPriorities) {
    throw new CrossdockError(
      'requestInvalid',
      `${name} has no priority list: layers of the profile ${profile.name} keep the order of the source; name an eStargz profile`,
    )
  }
  if (named?.target === undefined) {
    system.output.err(`${name} is not converted yet; converting it, as a puller would have it\n`)
  }
}

async function readRecordFile(path: string): Promise<readonly RecordLine[]> {
  const bytes = await readFile(path).catch((cause: unknown) => {
    throw new UsageError(`cannot read the record ${path}: ${describeError(cause)}`, { cause })
  })
  return await readRecord(streamOf(bytes), path)
}

function platformsOf({ platform }: RecordOptions, app: App): readonly Platform[] {
  if (platform === undefined) return app.config.convert.defaultPlatforms.map(parsePlatform)
  try {
    return [parsePlatform(platform)]
  } catch (error) {
    throw new UsageError(`--platform: ${describeError(error)}`, { cause: error })
  }
}

function targetOf(text: string, app: App) {
  const { name, tag, digest } = parseReference(text)
  const slash = name.indexOf('/')
  const host = name.slice(0, Math.max(0, slash))
  if (!/[.:]|^localhost$/.test(host) && !app.upstreams.names.includes(host)) {
    throw new UsageError(`${text} names no registry to push to; write HOST/NAME:TAG`)
  }
  return { host, repository: name.slice(slash + 1), reference: digest ?? tag ?? 'latest' }
}

interface ListedLayer {
  /** `undefined`: the lines say none. */
  readonly layerIndex: number | undefined
  readonly paths: readonly string[]
}

/** Of an eStargz image every layer, else those that lines speak of. */
function layersOf({ kind, lines, manifest }: FoundRecord): readonly ListedLayer[] {
  const said = new Set(lines.map(({ layerIndex }) => layerIndex))
  const indexes = kind === 'estargz' ? manifest.layers.keys() : said
  return [...indexes].map((layerIndex) => ({
    layerIndex,
    paths: lines.filter((line) => line.layerIndex === layerIndex).map(({ path }) => path),
  }))
}

function formatLayers(
  name: string,
  { digest, kind }: FoundRecord,
  layers: readonly ListedLayer[],
): string {
  const what = kind === 'estargz' ? 'eStargz image' : 'record'
  const parts = layers.map(({ layerIndex, paths }) => {
    const layer = layerIndex === undefined ? 'any layer' : `layer ${layerIndex}`
    return [
      `${layer}: ${countOf(paths.length)}`,
      ...paths.map((path) => `  ${oneLine(path)}`),
    ].join('\n')
  })
  return `${[`${name}  ${digest}  ${what}`, ...parts].join('\n')}\n`
}

function countOf(files: number): string {
  return files === 1 ? '1 file' : `${files} files`
}
