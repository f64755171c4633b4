/** `crossdock inspect`: what an image is, from its source or from a conversion of it. */
import { formatImage, type NamedImage } from '../admin/named-image.ts'
import type { App } from '../app.ts'
import type { Form, Member } from '../convert/forms.ts'
import { type Inspection, Inventory, type ResolvedTag } from '../convert/inventory.ts'
import { manifestUnknown, tagUnknown } from '../convert/missing.ts'
import type { Digest } from '../oci/digest.ts'
import type { Descriptor } from '../oci/manifest.ts'
import { formatPlatform, parsePlatform } from '../oci/platform.ts'
import { splitSuffix } from '../oci/reference.ts'
import { EXIT, formatBytes, formatSeconds, formatTable } from './output.ts'
import { parseImage } from './references.ts'
import { type CommonOptions, openToLook } from './session.ts'
import type { System } from './system.ts'

export async function inspectCommand(
  ref: string,
  options: CommonOptions,
  system: System,
): Promise<number> {
  await using app = await openToLook(options, system)
  const image = parseImage(ref, app)
  const inventory = new Inventory(app)
  const { repository, reference } = image
  const named: ResolvedTag | undefined =
    'digest' in reference
      ? { source: reference.digest }
      : await inventory.resolve(repository, reference.tag)
  const platforms = app.config.convert.defaultPlatforms.map(parsePlatform)
  const digest = named && (named.target ?? named.source)
  const found = digest && (await inventory.inspect(repository, digest, platforms))
  if (named === undefined || found === undefined) {
    // What a puller would be told, a guess at what was meant included.
    throw 'tag' in reference
      ? tagUnknown(repository, baseOf(reference.tag, app), app.profiles)
      : manifestUnknown(repository, `@${reference.digest}`)
  }
  const asked = 'tag' in reference ? await askedOf(image, named, found, inventory, app) : undefined
  const text = options.json
    ? `${JSON.stringify(describe(image, found, asked), null, 2)}\n`
    : format(image, found, asked)
  system.output.out(text)
  return EXIT.ok
}

/** What is asked of upstream: without a suffix that names a profile. */
function baseOf(tag: string, { profiles }: App): string {
  return splitSuffix(tag, profiles.suffixes)?.base ?? tag
}

/** What a puller of a tag asks for by its suffix or by a rule. */
interface Asked {
  readonly profile: string
  readonly by: 'suffix' | 'rule'
  /** `undefined`: not converted yet. */
  readonly digest: Digest | undefined
  /** Why the puller gets the original. */
  readonly reason: string | undefined
}

async function askedOf(
  { wanted, repository }: NamedImage,
  { profile: suffix }: ResolvedTag,
  { source, conversions }: Inspection,
  inventory: Inventory,
  app: App,
): Promise<Asked | undefined> {
  const profile = suffix === undefined ? wanted?.profile : app.profiles.find(suffix)
  if (profile?.format === undefined) return undefined
  const by = suffix === undefined ? 'rule' : 'suffix'
  const made = conversions.find((form) => form.profile === profile.name && form.isCurrent)
  const reason =
    made || profile.record !== undefined
      ? undefined
      : await inventory.findReasonToKeep(repository, source, { ...profile, format: profile.format })
  const digest = made?.digest ?? (reason === undefined ? undefined : source.digest)
  return { profile: profile.name, by, digest, reason }
}

function format(image: NamedImage, found: Inspection, asked: Asked | undefined): string {
  const { source, conversions, profile } = found
  const forms = [source, ...conversions]
  const isUnmade = asked?.by === 'suffix' && asked.digest === undefined
  const facts = [
    `name      ${formatImage(image)}`,
    `digest    ${asked?.by === 'suffix' ? formatAsked(asked, image) : formatNamed(found)}`,
    ...(profile === undefined && !isUnmade ? [] : [`source    ${source.digest}`]),
    ...(asked?.by === 'rule' ? [`rule      ${asked.profile}: ${formatAsked(asked, image)}`] : []),
    `type      ${source.mediaType}`,
  ]
  const table = formatTable(
    ['PROFILE', 'STATE', 'SIZE', 'SHARE', 'STORED', 'SECONDS', 'DIGEST'],
    forms.map((form) => [
      form.profile ?? 'original',
      formatState(form),
      formatSize(form, form.size.total),
      formatShare(form, source),
      formatSize(form, form.size.stored),
      form.seconds === undefined ? '-' : formatSeconds(form.seconds),
      form.digest,
    ]),
  )
  const members = formatTable(
    ['PROFILE', 'PLATFORM', 'LAYERS', 'SIZE', 'STORED', 'DIGEST'],
    forms.flatMap((form) => [
      ...form.members.map((member) => formatMember(form, member)),
      ...form.unseen.map((child) => formatUnseen(form, child)),
    ]),
  )
  const isIndex = forms.some(
    ({ digest, members, unseen }) =>
      unseen.length > 0 || members.some((member) => member.digest !== digest),
  )
  const notes = forms.flatMap(({ profile = 'original', size, notes = [] }) => [
    ...(size.folded > 0
      ? [
          `${profile}: ${formatBytes(size.folded)} more kept as zstd and corrections (cache.dedup)\n`,
        ]
      : []),
    ...notes.map((note) => `${profile}: ${note}\n`),
  ])
  const images = isIndex ? `\nImages of the index:\n${members}` : ''
  return `${facts.join('\n')}\n\n${table}${images}${notes.length > 0 ? `\n${notes.join('')}` : ''}`
}

/** Of a conversion: whether pullers of its profile get this one. */
function formatState({ isCurrent }: Form): string {
  if (isCurrent === undefined) return '-'
  return isCurrent ? 'current' : 'outdated'
}

function formatNamed({ digest, profile }: Inspection): string {
  return `${digest}${profile === undefined ? '' : ` (converted, profile ${profile})`}`
}

function formatAsked({ digest, reason, profile }: Asked, { text }: NamedImage): string {
  if (digest === undefined) return `not converted yet (stage it: crossdock stage ${text})`
  return `${digest} (${reason === undefined ? `converted, profile ${profile}` : `the original: ${reason}`})`
}

/** Of an index of which no image was looked at, nobody knows. */
function formatSize({ members }: Form, bytes: number): string {
  return members.length === 0 ? '-' : formatBytes(bytes)
}

/** Against the sources of the same platforms. */
function formatShare(form: Form, source: Form): string {
  const platforms = new Set(form.members.map(platformOf))
  const same = source.members.filter((member) => platforms.has(platformOf(member)))
  const before = same.reduce((total, member) => total + member.size.total, 0)
  const after = form.members.reduce((total, member) => total + member.size.total, 0)
  return before === 0 ? '-' : `${Math.round((after / before) * 100)} %`
}

function formatMember(form: Form, member: Member): string[] {
  return [
    form.profile ?? 'original',
    platformOf(member),
    String(member.layers),
    formatBytes(member.size.total),
    formatBytes(member.size.stored),
    member.digest,
  ]
}

/** Its manifest is not here, and nobody has asked for it. */
function formatUnseen(form: Form, { digest, platform }: Descriptor): string[] {
  return [form.profile ?? 'original', platformOf({ platform }), '-', '-', 'not pulled', digest]
}

function platformOf({ platform }: Pick<Descriptor, 'platform'>): string {
  return platform === undefined ? 'any' : formatPlatform(platform)
}

function describe(image: NamedImage, found: Inspection, asked: Asked | undefined) {
  const { source, conversions, profile = 'original' } = found
  const digest = asked?.by === 'suffix' ? (asked.digest ?? null) : found.digest
  return {
    name: formatImage(image),
    digest,
    profile: asked?.by === 'suffix' ? asked.profile : profile,
    ...(asked && { converted: { ...asked, digest: asked.digest ?? null } }),
    source: describeForm(source),
    conversions: conversions.map((form) => ({ profile: form.profile, ...describeForm(form) })),
  }
}

function describeForm(form: Form) {
  const { digest, mediaType, size, members, unseen } = form
  const { convertedAt, seconds, isCurrent, notes = [] } = form
  return {
    digest,
    mediaType,
    size: size.total,
    storedSize: size.stored,
    foldedSize: size.folded,
    ...(convertedAt !== undefined && {
      ...{ convertedAt: new Date(convertedAt).toISOString(), seconds, current: isCurrent },
    }),
    images: members.map((member) => ({
      digest: member.digest,
      platform: platformOf(member),
      layers: member.layers,
      size: member.size.total,
      storedSize: member.size.stored,
    })),
    ...(notes.length > 0 && { notes }),
    ...(unseen.length > 0 && {
      notPulled: unseen.map((child) => ({ digest: child.digest, platform: platformOf(child) })),
    }),
  }
}
