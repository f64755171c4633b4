/** `crossdock inspect`: what an image is, from its source or from a conversion of it. */
import { type Form, type Inspection, Inventory, type Member } from '../convert/inventory.ts'
import { CrossdockError } from '../errors.ts'
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
  const { repository, reference } = image
  const inventory = new Inventory(app)
  const digest =
    'digest' in reference ? reference.digest : await inventory.resolve(repository, reference.tag)
  const found = digest && (await inventory.inspect(repository, digest))
  if (found === undefined) {
    throw new CrossdockError(
      'manifestUnknown',
      `${formatImage(image)} is not there; check the name and the upstream`,
    )
  }
  const text = options.json
    ? `${JSON.stringify(describe(image, found), null, 2)}\n`
    : format(image, found)
  system.output.out(text)
  return EXIT.ok
}

function format(image: NamedImage, found: Inspection): string {
  const { source, conversions, profile } = found
  const forms = [source, ...conversions]
  const facts = [
    `name      ${formatImage(image)}`,
    `digest    ${found.digest}${profile === undefined ? '' : ` (converted, profile ${profile})`}`,
    ...(profile === undefined ? [] : [`source    ${source.digest}`]),
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

function describe(image: NamedImage, found: Inspection) {
  const { source, conversions, profile = 'original', digest } = found
  return {
    name: formatImage(image),
    digest,
    profile,
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
