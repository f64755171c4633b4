/** `crossdock inspect`: what an image is, from its source or from a conversion of it. */
import type { App } from '../app.ts'
import {
  type Form,
  type Inspection,
  Inventory,
  type Member,
  type ResolvedTag,
} from '../convert/inventory.ts'
import { CrossdockError } from '../errors.ts'
import type { Digest } from '../oci/digest.ts'
import { formatPlatform } from '../oci/platform.ts'
import { EXIT, formatBytes, formatSeconds, formatTable } from './output.ts'
import { formatImage, type NamedImage, parseImage } from './references.ts'
import { type CommonOptions, openSession } from './session.ts'
import type { System } from './system.ts'

export async function inspectCommand(
  ref: string,
  options: CommonOptions,
  system: System,
): Promise<number> {
  await using app = await openSession(options, system)
  const image = parseImage(ref, app)
  const inventory = new Inventory(app)
  const { repository, reference } = image
  const named: ResolvedTag | undefined =
    'digest' in reference
      ? { source: reference.digest }
      : await inventory.resolve(repository, reference.tag)
  const found = named && (await inventory.inspect(repository, named.target ?? named.source))
  if (named === undefined || found === undefined) {
    throw new CrossdockError(
      'manifestUnknown',
      `${formatImage(image)} is not there; check the name and the upstream`,
    )
  }
  const asked = 'tag' in reference ? await askedOf(image, named, found, inventory, app) : undefined
  const text = options.json
    ? `${JSON.stringify(describe(image, found, asked), null, 2)}\n`
    : format(image, found, asked)
  system.output.out(text)
  return EXIT.ok
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
  const made = conversions.find((form) => form.profile === profile.name)
  const reason =
    made || profile.record !== undefined
      ? undefined
      : await inventory.findReasonToKeep(repository, source, profile.format)
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
    ['PROFILE', 'SIZE', 'SHARE', 'STORED', 'SECONDS', 'DIGEST'],
    forms.map((form) => [
      form.profile ?? 'original',
      formatBytes(form.size.total),
      formatShare(form, source),
      formatBytes(form.size.stored),
      form.seconds === undefined ? '-' : formatSeconds(form.seconds),
      form.digest,
    ]),
  )
  const members = formatTable(
    ['PROFILE', 'PLATFORM', 'LAYERS', 'SIZE', 'DIGEST'],
    forms.flatMap((form) => form.members.map((member) => formatMember(form, member))),
  )
  const isIndex = forms.some((form) => form.members.some((member) => member.digest !== form.digest))
  return `${facts.join('\n')}\n\n${table}${isIndex ? `\nImages of the index that are in the store:\n${members}` : ''}`
}

function formatNamed({ digest, profile }: Inspection): string {
  return `${digest}${profile === undefined ? '' : ` (converted, profile ${profile})`}`
}

function formatAsked({ digest, reason, profile }: Asked, { text }: NamedImage): string {
  if (digest === undefined) return `not converted yet (stage it: crossdock stage ${text})`
  return `${digest} (${reason === undefined ? `converted, profile ${profile}` : `the original: ${reason}`})`
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
    member.digest,
  ]
}

function platformOf({ platform }: Member): string {
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
  const { digest, mediaType, size, members, convertedAt, seconds } = form
  return {
    digest,
    mediaType,
    size: size.total,
    storedSize: size.stored,
    ...(convertedAt !== undefined && { convertedAt: new Date(convertedAt).toISOString(), seconds }),
    images: members.map((member) => ({
      digest: member.digest,
      platform: platformOf(member),
      layers: member.layers,
      size: member.size.total,
    })),
  }
}
