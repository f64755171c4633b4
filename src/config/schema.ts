/** Every key of the configuration: name, type, default and description, once. JSON schema, documents and checks follow. */
import { z } from 'zod'
import { parseAddress } from './address.ts'
import { auth } from './auth-schema.ts'
import { parseCatalogPlace } from './catalog-place.ts'
import {
  addressRange,
  checked,
  duration,
  file,
  matching,
  onOff,
  parseUpstreamUrl,
  place,
  profileRef,
  record,
  repositoryGlob,
  size,
  text,
  timer,
  workerCount,
} from './fields.ts'
import { LIMITS } from './limits.ts'
import { replicas } from './replicas-schema.ts'
import type { SchemaNode } from './schema-node.ts'
import { parseBlobsPlace } from './store-places.ts'

/** Upstreams that are there without configuration. */
export const DEFAULT_UPSTREAMS = [
  'docker.io',
  'ghcr.io',
  'quay.io',
  'gcr.io',
  'registry.k8s.io',
  'mcr.microsoft.com',
  'public.ecr.aws',
  'registry.gitlab.com',
] as const

const PLATFORM = /^[a-z0-9]+\/[a-z0-9_]+(?:\/[a-z0-9]+)?(?::[0-9.]+)?$/
const UPSTREAM_NAME = /^(?:[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?$/
const PROFILE_NAME = /^[a-z0-9][a-z0-9-]*$/

const HOSTNAME = /^(?=.{1,253}$)[a-zA-Z0-9_](?:[a-zA-Z0-9_.-]*[a-zA-Z0-9_])?$/

const address = checked('an address HOST:PORT, e.g. 0.0.0.0:5000 or "[::]:5000"', parseAddress)
const admin = checked('an address HOST:PORT such as 127.0.0.1:5001, or off', (text) =>
  text === 'off' ? { off: true as const } : parseAddress(text),
).transform((value) => ('off' in value ? undefined : value))
const upstreamUrl = checked(
  'an http:// or https:// URL without query, user or password, e.g. https://registry.example, https://host/artifactory/api/docker/repo or https://harbor.example/v2/project',
  parseUpstreamUrl,
)
const platform = matching(PLATFORM, 'a platform OS/ARCH or OS/ARCH/VARIANT, e.g. linux/arm64')
const platformsError = {
  error: 'must be auto, all or a list of platforms such as [linux/amd64, linux/arm64]',
}
const platforms = z.union(
  [z.enum(['auto', 'all']), z.array(platform).min(1, platformsError)],
  platformsError,
)
const onSlow = z.enum(['wait', 'original'])

const tls = z.strictObject({
  cert: file().describe(
    'PEM file with the certificate and its chain; like the others it is looked at every minute, and a new one is used for new connections.',
  ),
  key: file().describe('PEM file with the private key.'),
  clientCa: file()
    .optional()
    .describe('PEM file; when set, only clients with a certificate of these authorities get in.'),
})

const listener = z
  .strictObject({
    address: address.describe('`HOST:PORT`; IPv6 in brackets: `"[::]:5000"`.'),
    tls: tls.optional().describe('Serve HTTPS instead of HTTP.'),
    profile: profileRef()
      .optional()
      .describe('Profile of requests on this port that name none, for clients without suffix.'),
  })
  .transform(({ address, ...rest }) => ({ ...address, ...rest }))

const upstream = z.strictObject({
  url: upstreamUrl
    .optional()
    .describe(
      'Where it is; without it `https://<name>`. `http://` is plain. A path stands in front of `/v2`; what follows a `/v2` in it stands in front of every repository name: see "Upstreams below a path".',
    ),
  mirrors: z
    .array(upstreamUrl)
    .default([])
    .describe('URLs of the same kind that are asked first, in order.'),
  username: text('a user name').optional().describe('User name for the registry.'),
  password: text('a password')
    .optional()
    .meta({ secret: true })
    .describe('Password or token; better from a variable or in `passwordFile`.'),
  passwordFile: file()
    .optional()
    .describe(
      'File with the password; a last line end is dropped. Like `ca`, `cert` and `key` it is read again when it changed.',
    ),
  ca: file()
    .optional()
    .describe('PEM file with the authorities to trust beside the built-in ones.'),
  cert: file().optional().describe('PEM file with the client certificate for mutual TLS.'),
  key: file().optional().describe('PEM file with the key of `cert`.'),
  tlsVerify: z.boolean().default(true).describe('`false`: accept any certificate. For tests.'),
  allowedRealms: z
    .array(matching(UPSTREAM_NAME, 'a host name, with or without port'))
    .default([])
    .describe('More hosts that may ask for the credentials as token service.'),
})

const profile = z.looseObject({
  format: text('the name of a format').describe(
    'The format; its options may stand beside this key.',
  ),
  platforms: platforms
    .default('auto')
    .describe('Children of an index to convert: `auto`, `all` or a list.'),
  record: record()
    .optional()
    .describe(
      'Priority list of a format that takes one (eStargz): a file (`./FILE`, `/FILE`), or the reference of a record image or of an eStargz image.',
    ),
  onSlow: onSlow
    .optional()
    .describe('What to do at `convert.headerWait`; default: `convert.onSlow`.'),
})

const rule = z.strictObject({
  match: repositoryGlob().describe(
    'Glob over `upstream/repository`: `*` within a component, `**` across.',
  ),
  profile: profileRef().optional().describe('The profile for what matches.'),
  attach: z
    .array(profileRef())
    .min(1)
    .optional()
    .describe(
      'Profiles (soci, nydus, nydus-ref or others of these formats) that stand by for originals of what matches: these keep their digests, the profiles are converted behind, and the referrers API lists them.',
    ),
  record: record()
    .optional()
    .describe(
      "Priority list for what matches, in place of the profile's `record`, whichever way the profile was chosen.",
    ),
})

const scrub = z.strictObject({
  rate: size('50MiB')
    .refine((bytes) => bytes > 0, { error: 'must be more than 0' })
    .describe('Bytes a second that the scrub may read.'),
  interval: duration('7d').describe('From one scrub to the next; `0`: none.'),
})

const cache = z.strictObject({
  maxSize: size('50GiB').describe('Disk budget; what was least recently served goes first.'),
  lease: duration('1h').describe('A blob stays at least this long after a manifest named it.'),
  tagWindow: duration('60s').describe('How long a tag is believed before upstream is asked again.'),
  staleWindow: duration('7d').describe('How old an answer may be served while upstream is down.'),
  offline: z
    .boolean()
    .default(false)
    .meta({ restart: true })
    .describe('Never dial out: the far side of an air gap.'),
  dedup: onOff
    .prefault('off')
    .describe(
      'Keep gzip layers that are not in use as zstd and corrections, from which they come back bit for bit.',
    ),
  scrub: scrub
    .prefault({})
    .describe('Reads everything in the store now and then, and heals what has rotted.'),
})

const store = z.strictObject({
  catalog: place(parseCatalogPlace, 'sqlite')
    .meta({ restart: true })
    .describe(
      '`sqlite` (in `data`), or `postgres://user@host:port/database` (the password there, out of a variable, or in PGPASSWORD); then blobs must lie on S3.',
    ),
  blobs: place(parseBlobsPlace, 'disk')
    .meta({ restart: true })
    .describe(
      "`disk` (in `data`), or `s3://bucket/prefix`, with `?endpoint=URL&region=R&forcePathStyle=true` where needed; credentials as all of Amazon's programs find them (AWS_ACCESS_KEY_ID, AWS_PROFILE, roles).",
    ),
  localCache: size('10GiB')
    .meta({ restart: true })
    .describe(
      'Of blobs on S3: how much of what was used last is kept in `data`. `cache.maxSize` is what may lie on S3.',
    ),
  redirect: z
    .boolean()
    .default(false)
    .meta({ restart: true })
    .describe(
      'Send clients that follow for blobs to S3 itself, by addresses that hold five minutes: they must reach the endpoint under the same name as crossdock does.',
    ),
})

const convert = z.strictObject({
  jobs: z
    .union([z.literal('auto'), z.number().int().min(1).max(1024)], {
      error: 'must be auto or a whole number from 1 to 1024',
    })
    .default('auto')
    .describe(
      'Layers converted at a time, not counting those whose source does not come; `auto`: two per processor.',
    ),
  headerWait: timer('20s').describe('How long a manifest request waits before early headers.'),
  waitBudget: timer('10m').describe('When a waiting request gives up; its conversion goes on.'),
  onSlow: onSlow
    .default('wait')
    .describe('At `headerWait`: `wait` (early headers) or serve the `original` for now.'),
  defaultPlatforms: z
    .array(platform)
    .min(1)
    .optional()
    .describe("What `platforms: auto` converts; without it the host's own platform."),
})

const log = z.strictObject({
  level: z
    .enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'])
    .default('info')
    .describe('The least important level that is written.'),
  format: z
    .enum(['auto', 'json', 'pretty'])
    .default('auto')
    .meta({ restart: true })
    .describe(
      '`auto`: pretty on a terminal, else JSON lines. `json`: nothing else is printed, no greeting either.',
    ),
})

/** The whole configuration file. */
export const CONFIG = z
  .strictObject({
    listen: z
      .array(listener)
      .min(1)
      .prefault([{ address: '0.0.0.0:5000' }])
      .meta({ restart: true })
      .describe('Where to serve; each entry is a port of its own.'),
    admin: admin
      .prefault('127.0.0.1:5001')
      .meta({ restart: true })
      .describe('Metrics, health detail, dashboard and admin API, or `off`.'),
    adminUsers: file()
      .optional()
      .meta({ restart: true })
      .describe(
        'File of `name:bcrypt hash` lines, as `htpasswd -B` writes them: who may use dashboard and admin API. Without it whoever reaches `admin` on loopback may, and elsewhere nobody.',
      ),
    hostnames: z
      .array(matching(HOSTNAME, 'a host name without port'))
      .default([])
      .describe(
        'Names that listeners on loopback, and the admin listener, answer to beside `localhost` and their addresses; to other names they say 421.',
      ),
    trustedProxies: z
      .array(addressRange())
      .default([])
      .describe('Reverse proxies whose `X-Forwarded-For` names the client, in logs and logins.'),
    data: file()
      .default('./data')
      .meta({ path: true, restart: true })
      .describe(
        'Folder of the blob store and the catalog, or of spool and cache where `store` says otherwise.',
      ),
    store: store
      .prefault({})
      .describe('Where blobs and catalog lie: [Stores on S3 and PostgreSQL](shared-stores.md).'),
    replicas: replicas
      .prefault({})
      .describe(
        'How servers of one store reach each other: [Stores on S3 and PostgreSQL](shared-stores.md).',
      ),
    workers: workerCount
      .default('auto')
      .meta({ restart: true })
      .describe(
        'Processes that serve together on this machine, with blobs on `disk`: [How many servers?](scaling.md): 1 to 64, or `auto`: one below four processors, else one for two of them, 8 at most and one a GiB of memory.',
      ),
    defaultUpstream: text('the name of an upstream')
      .default('docker.io')
      .describe('The upstream of names without a host.'),
    allowAnyUpstream: z
      .boolean()
      .default(false)
      .describe('Accept every public https registry, configured or not.'),
    allowAnyTokenService: z
      .boolean()
      .default(true)
      .describe(
        'Fetch anonymous tokens from a token service on any public host that a registry names, where there are no credentials for that registry. Credentials go to the same host or domain and `allowedRealms` alone; `false`: so do all questions for tokens.',
      ),
    allowOpenCredentials: z
      .boolean()
      .default(false)
      .describe('Hand out images pulled with credentials to everyone who can connect.'),
    upstreams: z
      .record(
        matching(UPSTREAM_NAME, 'a name such as ghcr.io, registry.example:5000 or local'),
        upstream.prefault({}),
      )
      .prefault(Object.fromEntries(DEFAULT_UPSTREAMS.map((name) => [name, {}])))
      .describe('Name of an upstream -> how to reach it. A map here replaces the default list.'),
    profiles: z
      .record(matching(PROFILE_NAME, 'lower-case letters, digits and hyphens'), profile)
      .default({})
      .describe('Name of a profile -> format and options, beside the built-in ones.'),
    rules: z.array(rule).default([]).describe('Profiles by repository; the first match counts.'),
    cache: cache.prefault({}).describe('What is kept, and for how long.'),
    convert: convert.prefault({}).describe('How conversions run.'),
    limits: LIMITS.prefault({}).describe('Ceilings; beyond them a request fails with a reason.'),
    auth: auth.prefault({}).describe('Client authentication.'),
    log: log.prefault({}).describe('Logging, to stderr.'),
    shutdownDelay: timer('0s').describe(
      'After SIGTERM requests are answered as before for so long, while `/readyz` says 503: what load balancers need to notice. Before `shutdownGrace`.',
    ),
    shutdownGrace: timer('8s').describe('How long requests may finish after SIGTERM.'),
  })
  .meta({ title: 'crossdock configuration' })

export type ParsedConfig = z.output<typeof CONFIG>

/** Sizes are bytes, durations milliseconds, addresses split, files absolute paths. */
export type Config = Omit<ParsedConfig, 'convert'> & {
  readonly convert: ParsedConfig['convert'] & { readonly defaultPlatforms: readonly string[] }
}

export type ListenerConfig = ParsedConfig['listen'][number]
export type UpstreamConfig = ParsedConfig['upstreams'][string]
/** `format`, `platforms`, `onSlow`, and whatever options the format has. */
export type ProfileConfig = ParsedConfig['profiles'][string]

/** JSON schema (2020-12) of the file, for editors. */
export function configSchema(): SchemaNode {
  return z.toJSONSchema(CONFIG, { io: 'input' }) as SchemaNode
}
