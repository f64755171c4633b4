import { describe, expect, it } from 'vitest'
import { loadConfig } from '../../../src/config/load.ts'
import { profilesOf } from '../../../src/config/profiles.ts'
import { CLIENTS, formatSetup, formatsOf, stepsOf } from '../../../src/setup/clients.ts'
import { type Setup, setupOf } from '../../../src/setup/setup.ts'

const CA = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n'
const HTTP = { address: 'proxy.example:5000', scheme: 'http' } as const
const HTTPS = { address: 'proxy.example:5000', scheme: 'https' } as const

async function setupFor(
  settings: {
    readonly upstreams?: Readonly<Record<string, object>>
    readonly defaultUpstream?: string
    readonly profile?: string
    readonly ca?: string
    readonly login?: Setup['login']
    readonly reach?: typeof HTTP | typeof HTTPS
  } = {},
): Promise<Setup> {
  const { upstreams, defaultUpstream, profile: name = 'zstd', login = 'none' } = settings
  const env = {
    ...(upstreams && { CROSSDOCK_UPSTREAMS: JSON.stringify(upstreams) }),
    ...(defaultUpstream && { CROSSDOCK_DEFAULT_UPSTREAM: defaultUpstream }),
  }
  const { config } = await loadConfig({ env, cwd: '/nowhere', systemFile: '/nowhere/at/all' })
  const profile = profilesOf(config).find(name)
  if (profile === undefined) throw new Error(`no profile ${name}`)
  const auth = { ...config.auth, mode: login }
  return setupOf({ ...config, auth }, settings.reach ?? HTTP, profile, settings.ca)
}

/** Path -> text. */
function filesOf(client: string, setup: Setup): ReadonlyMap<string, string> {
  return new Map(
    stepsOf(client, setup).flatMap((step) =>
      step.kind === 'file' ? [[step.path, step.text] as const] : [],
    ),
  )
}

describe('the set-up of a client', () => {
  it('keeps the names of every host, also of an upstream that has a URL of its own', async () => {
    const setup = await setupFor({
      upstreams: {
        'docker.io': {},
        'registry.example:5000': {},
        local: { url: 'http://10.0.0.7:5010' },
        moved: { url: 'https://new.example' },
      },
    })
    const files = filesOf('containerd', setup)

    expect([...files.keys()]).toEqual(
      ['docker.io', 'registry.example:5000', '10.0.0.7:5010', 'new.example', HTTP.address].map(
        (host) => `/etc/containerd/certs.d/${host}/hosts.toml`,
      ),
    )
    expect(files.get('/etc/containerd/certs.d/10.0.0.7:5010/hosts.toml')).toBe(
      'server = "http://10.0.0.7:5010"\n\n[host."http://proxy.example:5000/as/zstd"]\n  capabilities = ["pull", "resolve"]\n',
    )
  })

  it('asks nobody below a path by names that it has not got there', async () => {
    const setup = await setupFor({
      upstreams: {
        'docker.io': { url: 'https://harbor.example/v2/hub-proxy' },
        'ghcr.io': { url: 'https://host.example/ghcr' },
        harbor: { url: 'https://harbor.example/v2/team' },
      },
    })

    expect(setup.hosts).toEqual([
      { name: 'docker.io', server: 'https://registry-1.docker.io' },
      { name: 'ghcr.io', server: 'https://ghcr.io' },
    ])
    expect(formatSetup('docker', setup)).toContain(
      'docker pull proxy.example:5000/harbor/REPOSITORY:TAG-zstd\n',
    )
  })

  it.each(CLIENTS)(
    'of %s trusts an authority of its own, and says how one logs in',
    async (client) => {
      const profile = formatsOf(client)?.[0] ?? 'zstd'
      const given = { profile, reach: HTTPS }
      const plain = formatSetup(client, await setupFor({ profile }))
      const trusting = await setupFor({ ...given, ca: CA })
      const withLogin = formatSetup(client, await setupFor({ ...given, login: 'htpasswd' }))

      expect([...filesOf(client, trusting).values()]).toContain(CA)
      expect(formatSetup(client, await setupFor(given))).toMatch(/authority of your own/)
      expect(withLogin).toMatch(/login|NAME:PASSWORD/)
      expect(plain).not.toMatch(/authority|login|NAME:PASSWORD/)
    },
  )

  it.each(['docker', 'containerd', 'podman', 'buildkit'])(
    'of %s shows a certificate where the server asks for one',
    async (client) => {
      const text = formatSetup(client, await setupFor({ reach: HTTPS, login: 'mtls' }))

      expect(text).toMatch(/client\.cert/)
      expect(text).toMatch(/client\.key/)
    },
  )

  it('tells users of an old Docker, where they look, that a suffix of zstd brings them the original', async () => {
    const text = /Docker before 23 reads no zstd/

    expect(formatSetup('docker', await setupFor())).toMatch(text)
    expect(formatSetup('docker', await setupFor({ profile: 'gzip' }))).not.toMatch(text)
  })

  it('sends nerdctl, CRI-O and Kubernetes to the files of containerd and podman', async () => {
    const setup = await setupFor()

    expect(filesOf('nerdctl', setup)).toEqual(filesOf('containerd', setup))
    expect(filesOf('kubernetes', setup)).toEqual(filesOf('containerd', setup))
    expect(filesOf('cri-o', setup)).toEqual(filesOf('podman', setup))
  })

  it('of a lazy snapshotter names containerd, plain HTTP and what to pull', async () => {
    const setup = await setupFor({ profile: 'estargz' })
    const files = filesOf('stargz', setup)

    expect(files.get('/etc/containerd/config.toml')).toContain('[proxy_plugins.stargz]')
    expect(files.get('/etc/containerd-stargz-grpc/config.toml')).toBe(
      '[[resolver.host."proxy.example:5000".mirrors]]\n  host = "proxy.example:5000"\n  insecure = true\n',
    )
    expect(formatSetup('stargz', setup)).toContain(
      'nerdctl --snapshotter stargz run --rm proxy.example:5000/alpine:3-estargz\n',
    )
  })

  it('gives dockerd settings that are JSON', async () => {
    expect(
      JSON.parse(filesOf('docker', await setupFor()).get('/etc/docker/daemon.json') ?? ''),
    ).toEqual({
      'registry-mirrors': ['http://proxy.example:5000/as/zstd/'],
      'insecure-registries': ['proxy.example:5000'],
    })
  })
})
