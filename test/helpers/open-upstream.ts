/** Opens the real upstream adapter on a fake registry, impatient, with its events on record. */

import { systemClock } from '../../src/clock.ts'
import type { ByteStream } from '../../src/lib/streams.ts'
import type { Clock } from '../../src/ports/clock.ts'
import type { Upstream } from '../../src/ports/upstream.ts'
import type {
  UpstreamEvents,
  UpstreamLimits,
  UpstreamSettings,
} from '../../src/upstream/settings.ts'
import {
  createUpstreams,
  type Registries,
  type UpstreamsSettings,
} from '../../src/upstream/upstreams.ts'

export type EventName = keyof UpstreamEvents

export interface OpenedUpstream extends AsyncDisposable {
  readonly upstreams: Registries
  /** The one named `local`. */
  readonly upstream: Upstream
  readonly events: {
    readonly name: EventName
    readonly fields: Readonly<Record<string, unknown>>
  }[]
  /** Waits between retries, ms. */
  readonly sleeps: number[]
}

const LIMITS: UpstreamLimits = {
  manifestSize: 4 * 1024 * 1024,
  upstreamConnections: 256,
  upstreamQueue: 1024,
  connectTimeout: 2_000,
  upstreamHeaders: 10_000,
  upstreamIdle: 10_000,
  retries: 3,
  redirects: 5,
  leastRate: 1024,
  upstreamHeaderSize: 32 * 1024,
  tokenSize: 64 * 1024,
  breakerFailures: 5,
  breakerWait: 5_000,
}

export interface UpstreamOptions extends Partial<Omit<UpstreamsSettings, 'limits'>> {
  readonly limits?: Partial<UpstreamLimits>
  /** Of `local`. */
  readonly settings?: Partial<UpstreamSettings>
}

export function openUpstream(
  registry: { readonly url: string },
  options: UpstreamOptions = {},
): OpenedUpstream {
  const events: OpenedUpstream['events'][number][] = []
  const sleeps: number[] = []
  const note = (name: EventName) => (fields: object) => events.push({ name, fields: { ...fields } })
  const { settings, limits, ...rest } = options
  const upstreams = createUpstreams({
    upstreams: { local: upstreamSettings({ url: registry.url, ...settings }) },
    defaultUpstream: 'local',
    allowAnyUpstream: false,
    allowAnyTokenService: true,
    clock: hasty(sleeps),
    random: () => 1,
    env: {},
    events: {
      upstreamRequest: note('upstreamRequest'),
      upstreamError: note('upstreamError'),
      upstreamQuota: note('upstreamQuota'),
    },
    limits: { ...LIMITS, ...limits },
    ...rest,
  })
  return {
    upstreams,
    upstream: upstreams.default,
    events,
    sleeps,
    [Symbol.asyncDispose]: () => upstreams[Symbol.asyncDispose](),
  }
}

export function upstreamSettings(settings: Partial<UpstreamSettings> = {}): UpstreamSettings {
  return { mirrors: [], tls: { verify: true }, allowedRealms: [], ...settings }
}

/** What an upstream hands out, to its end. */
export async function bytesOf(from: { readonly body: ByteStream } | undefined): Promise<Buffer> {
  if (from === undefined) throw new Error('it is not there')
  const chunks: Uint8Array[] = []
  for await (const chunk of from.body) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** Never sleeps, but tells how long it should have. */
function hasty(sleeps: number[]): Clock {
  return {
    ...systemClock,
    sleep: (ms) => {
      sleeps.push(ms)
      return Promise.resolve()
    },
  }
}
