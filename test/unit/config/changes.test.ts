import { describe, expect, it } from 'vitest'
import { changesOf } from '../../../src/config/changes.ts'
import { loadConfig } from '../../../src/config/load.ts'
import { formatPath, valueAt } from '../../../src/config/problem.ts'
import { type Config, configSchema } from '../../../src/config/schema.ts'
import type { SchemaNode } from '../../../src/config/schema-node.ts'

async function configOf(settings: Readonly<Record<string, unknown>> = {}): Promise<Config> {
  const env = Object.fromEntries(
    Object.entries(settings).map(([key, value]) => [
      `CROSSDOCK_${key.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`,
      typeof value === 'string' ? value : JSON.stringify(value),
    ]),
  )
  const { config } = await loadConfig({ env, cwd: '/nowhere', systemFile: '/nowhere/at/all' })
  return config
}

/** Keys that hold a value of their own, not keys: lists and maps with names of the operator's are one. */
function leavesOf(node: SchemaNode, path: readonly string[] = []): (readonly string[])[] {
  if (node.properties === undefined) return [path]
  return Object.entries(node.properties).flatMap(([key, child]) => leavesOf(child, [...path, key]))
}

/** Another value than the default for each key, where the schema alone does not say one. */
const OTHERS: Readonly<Record<string, unknown>> = {
  listen: [{ address: '127.0.0.1:6000' }],
  admin: 'off',
  hostnames: ['proxy.internal'],
  trustedProxies: ['10.0.0.0/8'],
  data: '/elsewhere',
  defaultUpstream: 'ghcr.io',
  upstreams: { 'docker.io': {}, 'registry.example': {} },
  profiles: { 'zstd-9': { format: 'zstd', level: 9 } },
  rules: [{ match: 'docker.io/**', profile: 'zstd' }],
  'convert.defaultPlatforms': ['linux/s390x'],
  'cache.dedup': 'on',
  'convert.jobs': 7,
  workers: 7,
  'convert.waitBudget': '7m',
  'auth.mode': 'mtls',
  'auth.htpasswd': '/users',
  'auth.groups': { team: ['alice'] },
  'auth.policy': [{ who: ['*'], match: ['docker.io/**'] }],
  'log.level': 'debug',
  'log.format': 'json',
  'convert.onSlow': 'original',
  'store.catalog': 'postgres://user@db/crossdock',
  'store.blobs': 's3://other-bucket',
  'replicas.listen': '10.0.0.7:5002',
  'replicas.advertise': '10.0.0.7:5002',
}

/** With one key changed; what else must be there for that is there before and after. */
async function pairFor(path: readonly string[], node: SchemaNode): Promise<[Config, Config]> {
  const tls = { cert: '/c', key: '/k', clientCa: '/a' }
  const sections: Readonly<Record<string, object>> = {
    auth: { listen: [{ address: '127.0.0.1:5000', tls }] },
    replicas: { store: { catalog: 'postgres://user@db/crossdock', blobs: 's3://bucket' } },
  }
  const needed = sections[path[0] ?? ''] ?? {}
  // Keys beside it that it does not go without.
  const beside: Readonly<Record<string, object>> = {
    auth: path[1] === 'policy' ? { mode: 'mtls' } : {},
    store: { blobs: 's3://bucket' },
    replicas: path[1] === 'advertise' ? { listen: '10.0.0.7:5002' } : {},
  }
  const at = path.join('.')
  const [first = '', second] = path
  const old = beside[first]
  const before = { ...needed, ...(old !== undefined && { [first]: old }) }
  const value = OTHERS[at] ?? otherThan(node)
  const inner = second === 'scrub' ? { [path[2] ?? '']: value } : value
  const after = { ...before, [first]: second === undefined ? value : { ...old, [second]: inner } }
  return [await configOf(before), await configOf(after)]
}

function otherThan({ type, unit, default: value, minimum = 0 }: SchemaNode): unknown {
  if (type === 'boolean') return value !== true
  if (unit === 'ms') return '7s'
  if (unit === 'bytes') return '7MiB'
  return typeof value === 'number' ? value + 1 : minimum + 1
}

describe('a changed key', () => {
  const leaves = leavesOf(configSchema())

  it.each(leaves.map((path) => [path.join('.'), path] as const))(
    '%s counts at once, or is said to need a restart',
    async (_, path) => {
      const node = path.reduce<SchemaNode>((so, key) => so.properties?.[key] ?? {}, configSchema())
      const [running, wanted] = await pairFor(path, node)
      expect(valueAt(wanted, path)).not.toEqual(valueAt(running, path))

      const { config, changed, restart } = changesOf(running, wanted)

      const isKept = node.restart === true
      expect(valueAt(config, path)).toEqual(valueAt(isKept ? running : wanted, path))
      const [named, others] = isKept ? [restart, changed] : [changed, restart]
      expect(named.length).toBeGreaterThan(0)
      expect(named.filter((one) => !one.startsWith(formatPath(path)))).toEqual([])
      expect(others).toEqual([])
    },
  )

  it('is named with the entry that it belongs to, whether that is new, other or gone', async () => {
    const running = await configOf({ upstreams: { 'docker.io': {}, old: {}, same: {} } })
    const wanted = await configOf({
      upstreams: {
        'docker.io': { mirrors: ['https://mirror.example'] },
        same: {},
        'new.example': {},
      },
    })

    expect(changesOf(running, wanted).changed).toEqual([
      'upstreams["docker.io"]',
      'upstreams.old',
      'upstreams["new.example"]',
    ])
  })

  it('is refused where it does not go together with what only a restart changes', async () => {
    const tls = { cert: '/c', key: '/k', clientCa: '/a' }
    const running = await configOf({ listen: [{ address: '127.0.0.1:5000' }] })
    const wanted = await configOf({
      listen: [{ address: '127.0.0.1:5000', tls }],
      auth: { mode: 'mtls' },
    })

    expect(() => changesOf(running, wanted)).toThrow(
      'auth.mode: mtls needs tls.clientCa on every listener; listen[0] has none; restart the server for that',
    )
  })
})
