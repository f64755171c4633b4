/** The /v2/ endpoints, pull side (distribution-spec 1.1): parse, find out what is meant, answer. */
import type { Access } from '../access/access.ts'
import type { Principal } from '../access/policy.ts'
import type { Profile, Profiles } from '../config/profiles.ts'
import {
  isPending,
  type ManifestAnswer,
  type PendingAnswer,
  type TagAsk,
  wishFor,
} from '../convert/asks.ts'
import type { Attachments } from '../convert/attachments.ts'
import type { Pulls } from '../convert/pulls.ts'
import { CrossdockError } from '../errors.ts'
import { streamOf } from '../lib/streams.ts'
import { type CompiledRule, chooseAttached, chooseProfile, locate, type Names } from '../naming.ts'
import type { Digest } from '../oci/digest.ts'
import type { Repository } from '../oci/repository.ts'
import type { ByteRange } from '../ports/blobs.ts'
import type { Clock } from '../ports/clock.ts'
import type { RawManifest } from '../ports/upstream.ts'
import type { Blobs } from '../pull/blobs.ts'
import type { Reach } from '../setup/setup.ts'
import { BlobAnswers } from './blob-answers.ts'
import { acceptanceOf, cannotRead, platformsOf } from './client.ts'
import { matchesEtag } from './etag.ts'
import type { Exchange } from './exchange.ts'
import type { Gate } from './gate.ts'
import type { Headers } from './headers.ts'
import type { Lists } from './lists.ts'
import { PartAnswers, rangeOf, refuseRange } from './parts.ts'
import { parseRoute, type Reference, type Route, unknownProfile } from './route.ts'
import { type Patience, waitFor } from './waiting.ts'
import { sendWelcome, type WelcomeDeps, wantsWelcome } from './welcome.ts'

/** The listener that a request came in by. */
export interface Entrance {
  readonly profile?: string | undefined
  /** How a browser on this machine would reach it. */
  readonly reach: Reach
}

export interface DistributionDeps {
  readonly config: WelcomeDeps['config']
  readonly pulls: Pulls
  readonly blobs: Blobs
  readonly lists: Lists
  readonly attachments: Pick<Attachments, 'pulled'>
  readonly profiles: Profiles
  readonly names: Names
  readonly clock: Clock
  /** What may change while it runs. */
  readonly settings: Omit<Patience, 'clock'> & { readonly rules: readonly CompiledRule[] }
  readonly access: Access
  readonly gate: Gate
  readonly served: (what: 'manifest' | 'blob', from: 'store' | 'upstream' | 'redirect') => void
  /** A client asked for what it cannot read, and will say nothing of it to whoever uses it. */
  readonly unreadable: (what: { readonly image: string; readonly reason: string }) => void
  /** Notes that somebody used a digest. */
  readonly touch: (digest: Digest) => void
  /** Processes of this machine that share what answers may hold. */
  readonly workers: number
  /** A manifest went out: whoever got it will ask for what it names. */
  readonly handedOut: (manifest: RawManifest) => void
}

interface Target {
  readonly principal: Principal | undefined
  readonly repository: Repository
  readonly profile: Profile | undefined
  /** What stands by for originals, as far as who asks may have it. */
  readonly attached: readonly Profile[]
  /** `OCI-Namespace` when `ns` was used. */
  readonly headers: Headers
}

export class Distribution {
  readonly #deps: DistributionDeps
  readonly #parts: PartAnswers
  readonly #blobs: BlobAnswers

  constructor(deps: DistributionDeps) {
    this.#deps = deps
    this.#parts = new PartAnswers(deps.workers)
    this.#blobs = new BlobAnswers({ ...deps, parts: this.#parts })
  }

  /** Answers one request. */
  async answer(exchange: Exchange, listener: Entrance): Promise<void> {
    const began = this.#deps.clock.monotonic()
    const [path = '', query = ''] = (exchange.incoming.url ?? '').split(/\?(.*)/s, 2)
    const isRead = exchange.incoming.method === 'GET' || exchange.isHead
    if (!isRead) {
      exchange.route = 'write'
      throw new CrossdockError(
        'methodNotAllowed',
        `${exchange.incoming.method} is not supported: crossdock serves pulls only; push to the upstream registry`,
      )
    }
    const principal = await this.#deps.access.identify(exchange.credentials)
    exchange.principal = principal?.name
    if (wantsWelcome(exchange, path)) {
      exchange.route = 'welcome'
      sendWelcome(exchange, new URLSearchParams(query), { ...this.#deps, reach: listener.reach })
      return
    }
    const route = this.#route(path)
    if (route === undefined) {
      throw new CrossdockError(
        'notFound',
        `${path.slice(0, 200)} is no endpoint of this registry; pull from /v2/<name>/manifests/<tag>`,
      )
    }
    exchange.route = route.kind
    if (route.kind === 'base') {
      exchange.send(200, { 'Content-Type': 'application/json' }, '{}')
      return
    }
    const params = new URLSearchParams(query)
    const target = this.#target(exchange, principal, route, params, listener.profile)
    if (route.kind === 'manifest') await this.#manifest(exchange, target, route.reference, began)
    else if (route.kind === 'blob') await this.#blobs.answer(exchange, target, route.digest)
    else if (route.kind === 'tags') {
      await this.#deps.lists.tags(exchange, target.repository, params, path, target.headers)
    } else {
      await this.#deps.lists.referrers(exchange, target, route.digest, params, target.headers)
    }
  }

  #route(path: string): Route | undefined {
    const { profiles } = this.#deps
    try {
      return parseRoute(path, (name) => profiles.find(name) !== undefined)
    } catch (error) {
      if (error instanceof CrossdockError && error.reason === 'unknown-profile') {
        throw unknownProfile(/^\/as\/([^/]*)/.exec(path)?.[1] ?? '', profiles.names)
      }
      throw error
    }
  }

  #target(
    exchange: Exchange,
    principal: Principal | undefined,
    route: Exclude<Route, { kind: 'base' }>,
    params: URLSearchParams,
    listener: string | undefined,
  ): Target {
    const spaces = params.getAll('ns')
    if (spaces.length > 1) {
      throw new CrossdockError('nameUnknown', 'query names ns more than once; name one upstream')
    }
    const ns = spaces[0] === '' ? undefined : spaces[0]
    const repository = locate(route.name, ns, this.#deps.names)
    exchange.image = nameOf(repository, route)
    const { settings, profiles } = this.#deps
    const levers = { path: route.profile, header: exchange.header('crossdock-profile'), listener }
    const profile = chooseProfile(levers, repository, settings.rules, profiles)
    const headers: Headers = ns === undefined ? {} : { 'OCI-Namespace': ns }
    const asker = { principal, repository }
    // A tag's suffix may say another profile, so tags are asked twice.
    this.#deps.gate.admit(asker, profile?.name)
    const attached = chooseAttached(repository, settings.rules, profiles).filter(({ name }) =>
      this.#deps.gate.allows(asker, name),
    )
    return { ...asker, profile, attached, headers }
  }

  async #manifest(
    exchange: Exchange,
    target: Target,
    reference: Reference,
    began: number,
  ): Promise<void> {
    if ('digest' in reference) {
      await this.#manifestByDigest(exchange, target, reference.digest)
      return
    }
    const asked = { isAdmitted: target.profile !== undefined }
    const answer = await this.#deps.pulls.byTag(this.#ask(exchange, target, reference.tag, asked))
    if (isPending(answer)) {
      await this.#wait(exchange, target, answer, began)
    } else {
      if (!asked.isAdmitted) await this.#deps.gate.admitPlain(target, answer.digest)
      await this.#sendManifest(exchange, target, answer)
    }
  }

  async #manifestByDigest(exchange: Exchange, target: Target, digest: Digest): Promise<void> {
    const { pulls, gate } = this.#deps
    const { repository, profile, principal } = target
    await gate.admitDigest(target, digest)
    const answer = await pulls.byDigest(repository, digest, profile, exchange)
    await this.#sendManifest(exchange, target, answer)
    if (!exchange.isHead) pulls.pulledChild(repository, digest, principal?.name ?? exchange.client)
  }

  /** `asked` is told when a profile is admitted that the tag's suffix named. */
  #ask(exchange: Exchange, target: Target, tag: string, asked: { isAdmitted: boolean }): TagAsk {
    const userAgent = exchange.header('user-agent')
    return {
      repository: target.repository,
      tag,
      wanted: wishFor(target.profile),
      waiter: exchange,
      acceptance: acceptanceOf(exchange.header('accept')),
      platforms: platformsOf(userAgent),
      admit: (profile) => {
        if (profile === undefined) return
        this.#deps.gate.admit(target, profile.name)
        asked.isAdmitted = true
      },
      cannotRead: (profile) => {
        const reason = profile.format && cannotRead(userAgent, profile.format)
        if (reason !== undefined) this.#deps.unreadable({ image: exchange.image ?? '', reason })
        return reason
      },
    }
  }

  async #wait(
    exchange: Exchange,
    target: Target,
    answer: PendingAnswer,
    began: number,
  ): Promise<void> {
    const { settings, clock } = this.#deps
    const patience = { ...settings, clock }
    await waitFor(answer, exchange, began, patience, {
      headers: target.headers,
      send: (one) => this.#sendManifest(exchange, target, one),
      finish: (one) => {
        this.#deps.handedOut(one)
        this.#deps.served('manifest', one.from)
        exchange.finish(one.bytes)
      },
    })
  }

  async #sendManifest(exchange: Exchange, target: Target, answer: ManifestAnswer): Promise<void> {
    exchange.conversion = answer.conversion
    const etag = `"${answer.digest}"`
    if (answer.stale) exchange.warn(110, 'Response is Stale')
    for (const text of answer.warnings) exchange.warn(299, text)
    const headers = {
      ...target.headers,
      'Docker-Content-Digest': answer.digest,
      ETag: etag,
      'Accept-Ranges': 'bytes',
      ...(answer.conversion !== undefined && { 'Crossdock-Conversion': answer.conversion }),
    }
    this.#deps.handedOut(answer)
    if (matchesEtag(exchange.header('if-none-match'), etag)) {
      exchange.send(304, headers)
      return
    }
    const typed = { ...headers, 'Content-Type': answer.mediaType }
    const { bytes } = answer
    const size = bytes.byteLength
    const range = rangeOf(exchange, size, etag)
    if (range.kind === 'unsatisfiable') {
      refuseRange(exchange, size, headers)
      return
    }
    this.#deps.served('manifest', answer.from)
    if (!exchange.isHead) {
      this.#deps.attachments.pulled(target.repository, answer, target.attached)
    }
    if (range.kind === 'whole') {
      exchange.send(200, { ...typed, 'Content-Length': size }, bytes)
      return
    }
    const open = ({ start, end }: ByteRange) => streamOf(bytes.subarray(start, end))
    await this.#parts.send(exchange, {
      size,
      ranges: range.ranges,
      headers: typed,
      open,
      atHand: true,
    })
  }
}

/** `docker.io/library/alpine:3-zstd` */
function nameOf({ upstream, name }: Repository, route: Exclude<Route, { kind: 'base' }>): string {
  const reference = route.kind === 'manifest' ? route.reference : undefined
  const tail = reference === undefined || 'digest' in reference ? '' : `:${reference.tag}`
  return `${upstream}/${name}${tail}`
}
