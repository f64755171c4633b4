/** `crossdock copy`: an image to another registry, or from one local archive or layout to another without any registry. */
import { availableParallelism, tmpdir } from 'node:os'
import { resolve } from 'node:path'
import type { App } from '../app.ts'
import { type Copied, Copies } from '../bundle/copies.ts'
import type { ExportItem } from '../bundle/export-task.ts'
import { openBundle } from '../bundle/input-files.ts'
import { openLayoutImage } from '../bundle/layout-folder.ts'
import { compressionOfName, isArchiveName } from '../bundle/outer-compression.ts'
import { isFolder } from '../bundle/output-files.ts'
import type { PushTarget } from '../bundle/pushes.ts'
import { demandFor } from '../convert/asks.ts'
import type { StageTask } from '../convert/staging.ts'
import { CrossdockError } from '../errors.ts'
import { parsePlatform } from '../oci/platform.ts'
import { parseReference, splitSuffix } from '../oci/reference.ts'
import { createExports, exportDeps } from './export.ts'
import { createImports } from './import.ts'
import { interruptionOf } from './interruption.ts'
import { complain, describeError, EXIT, formatBytes, UsageError } from './output.ts'
import { formatPlace, type Place, parsePlace } from './places.ts'
import { showProgress } from './progress-view.ts'
import { parseImage } from './references.ts'
import { openScratch } from './scratch.ts'
import { type CommonOptions, openSession } from './session.ts'
import type { System } from './system.ts'

/** What is left of an interrupted copy. */
const NOTHING = 'nothing was written'
const PARTS = 'the registry may keep layers that came whole, and has no manifest of them'

export interface CopyOptions extends CommonOptions {
  readonly platform?: readonly string[]
}

export async function copyCommand(
  from: string,
  to: string,
  options: CopyOptions,
  system: System,
): Promise<number> {
  const source = resolvePlace(parsePlace(from), system)
  const target = resolvePlace(parsePlace(to), system)
  const platforms = platformsOf(options.platform, source)
  const signal = interruptionOf(system, target.kind === 'local' ? NOTHING : PARTS)
  await using stack = new AsyncDisposableStack()
  const app =
    source.kind === 'registry'
      ? stack.use(await openSession(options, system))
      : await openScratch(options, system, tmpdir(), stack)
  // Before anything is fetched or converted in vain.
  const push = target.kind === 'registry' ? openTarget(target.reference, app) : undefined
  const item =
    source.kind === 'registry' ? parseImage(source.reference, app) : await load(source, app, signal)
  const wanted = withProfileOf(target, item, app)
  let copied: Copied
  {
    using _view = showProgress(app.progress, system.output)
    copied = await copyTo(target, push, { ...wanted, ...platforms }, app, signal)
  }
  for (const warning of copied.warnings) complain(system.output, `warning: ${warning}`)
  system.output.out(options.json ? formatJson(target, copied) : formatSummary(target, copied))
  return EXIT.ok
}

/** Imports one image of a layout or archive; the only one when none is named. */
async function load(
  source: Place & { readonly kind: 'local' },
  app: App,
  signal: AbortSignal,
): Promise<ExportItem> {
  const { path, name } = source
  const isLayout = source.transport === 'oci' && (await isFolder(path))
  const split = name === undefined ? undefined : splitSuffix(name, app.profiles.suffixes)
  const input = !isLayout
    ? await openBundle(path)
    : await openLayoutImage(path, name).catch((error: unknown) => {
        const isAbsent = error instanceof CrossdockError && error.reason === 'not-in-layout'
        if (!isAbsent || split === undefined) throw error
        return openLayoutImage(path, split.base)
      })
  const fallback = { upstream: 'localhost', name: 'image' }
  const { images } = await createImports(app).import(input, { fallback, signal })
  const candidates = name === undefined ? [undefined] : [name, ...(split ? [split.base] : [])]
  for (const candidate of candidates) {
    const found = images.filter((one) => candidate === undefined || fits(one.name, candidate))
    const [image] = found
    if (image === undefined || (candidate === undefined && found.length > 1)) continue
    const item = parseImage(image.reference, app)
    const isSuffixed = candidate !== name && 'tag' in item.reference
    if (!isSuffixed) return { ...item, platforms: 'all', wanted: undefined }
    const wanted = demandFor(app.profiles.find(split?.suffix ?? ''))
    return { ...item, platforms: 'all', wanted }
  }
  const names = images
    .map((one) => one.name)
    .slice(0, 10)
    .join(', ')
  throw new UsageError(
    name === undefined
      ? `${path} holds several images; say which: ${names}`
      : `${path} has no image ${name}; it has ${names}`,
  )
}

/** A tag alone, a familiar name or a full one. */
function fits(full: string, name: string): boolean {
  return full === name || full.endsWith(`:${name}`) || full.endsWith(`/${name}`)
}

/** `oci:IN:1` to `oci:OUT:1-zstd` converts, unless the source says a profile itself. */
function withProfileOf(
  target: Place,
  item: Pick<ExportItem, 'repository' | 'reference' | 'wanted'>,
  app: App,
): Pick<ExportItem, 'repository' | 'reference' | 'wanted'> {
  const { reference } = item
  const own = 'tag' in reference && splitSuffix(reference.tag, app.profiles.suffixes)
  const tag = target.kind === 'registry' ? parseReference(target.reference).tag : target.name
  const split =
    tag === undefined ? undefined : splitSuffix(tag.replace(/^.*:/, ''), app.profiles.suffixes)
  if (own || item.wanted !== undefined || split === undefined) return item
  return { ...item, wanted: demandFor(app.profiles.find(split.suffix)) }
}

interface RegistryTarget {
  readonly writer: PushTarget
  readonly repository: string
  /** `undefined`: a digest alone. */
  readonly tag: string | undefined
}

function openTarget(text: string, app: App): RegistryTarget {
  try {
    const { name, tag, digest } = parseReference(text)
    const slash = name.indexOf('/')
    const host = name.slice(0, Math.max(0, slash))
    if (!/[.:]|^localhost$/.test(host) && !app.upstreams.names.includes(host)) {
      throw new UsageError(
        `${text} names no registry to copy to; write HOST/NAME:TAG, or oci:FOLDER`,
      )
    }
    const writer = app.upstreams.writer(host)
    return {
      writer,
      repository: name.slice(slash + 1),
      tag: digest === undefined ? tag : undefined,
    }
  } catch (error) {
    if (!(error instanceof CrossdockError)) throw error
    throw new UsageError(`${text}: ${error.message}`, { cause: error })
  }
}

async function copyTo(
  target: Place,
  push: RegistryTarget | undefined,
  item: ExportItem,
  app: App,
  signal: AbortSignal,
): Promise<Copied> {
  const copies = new Copies(exportDeps(app))
  if (push !== undefined) return await copies.toRegistry(item, push.writer, push, signal)
  if (target.kind === 'registry') throw new Error('a registry was opened before')
  const name = target.name ?? nameOf(item)
  if (target.transport === 'oci') return await copies.toLayout(item, target.path, name, signal)
  const compression = isArchiveName(target.path) ? compressionOfName(target.path) : 'none'
  if (compression === undefined) {
    throw new UsageError(`${target.path}: use .tar, .tar.zst or .tar.xz`)
  }
  const { manifesto, warnings } = await createExports(app).export(
    {
      images: [{ ...item, name }],
      withSources: false,
      restoreDigests: false,
      format: target.transport === 'docker-archive' ? 'docker' : 'oci',
      since: [],
      target: {
        kind: 'archive',
        path: target.path,
        outer: { compression, threads: availableParallelism() },
      },
    },
    signal,
  )
  const [image] = manifesto.description.images
  if (image === undefined) throw new Error('an export of one image describes one image')
  const { digest, mediaType, profile } = image
  return { digest, mediaType, conversion: profile, warnings }
}

function nameOf({ repository, reference }: ExportItem): string {
  const { upstream, name } = repository
  return `${upstream}/${name}${'tag' in reference ? `:${reference.tag}` : `@${reference.digest}`}`
}

function resolvePlace(place: Place, system: System): Place {
  return place.kind === 'local' ? { ...place, path: resolve(system.cwd, place.path) } : place
}

/** Of what is served a copy must not change what others are served; what nobody is served is converted whole. */
function platformsOf(
  given: readonly string[] | undefined,
  source: Place,
): Pick<StageTask, 'platforms' | 'isAsServed'> {
  if (given === undefined) return { platforms: 'all', isAsServed: source.kind === 'registry' }
  if (given.includes('all')) return { platforms: 'all' }
  try {
    return { platforms: given.map(parsePlatform) }
  } catch (error) {
    throw new UsageError(`--platform: ${describeError(error)}`, { cause: error })
  }
}

function formatSummary(target: Place, { digest, conversion, pushed }: Copied): string {
  const how = conversion === undefined ? '' : ` (${conversion})`
  const sums =
    pushed === undefined
      ? ''
      : `${pushed.uploaded} blobs uploaded, ${formatBytes(pushed.bytes)}; ${pushed.mounted} mounted, ${pushed.reused} there already\n`
  return `${formatPlace(target)}  ${digest}${how}\n${sums}`
}

function formatJson(target: Place, { warnings: _, ...copied }: Copied): string {
  return `${JSON.stringify({ target: formatPlace(target), ...copied }, null, 2)}\n`
}
