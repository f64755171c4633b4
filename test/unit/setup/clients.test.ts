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
      { name: 'docker.io', server: 'https://registry-1.docker.io', upstream: 'docker.io' },
      { name: 'ghcr.io', server: 'https://ghcr.io', upstream: 'ghcr.io' },
    ])
    expect(formatSetup('docker', setup)).toContain(
      'docker pull proxy.example:5000/harbor/REPOSITORY:TAG-zstd\n',
    )
  })

  it.each(['containerd', 'kubernetes', 'buildkit'])(
    'of %s says of an upstream below a path how its images are pulled',
    async (client) => {
      const upstreams = { 'docker.io': {}, harbor: { url: 'https://harbor.example/v2/team' } }

      expect(formatSetup(client, await setupFor({ upstreams }))).toMatch(
        /below a path .*\n#.* proxy\.example:5000\/harbor\/REPOSITORY:TAG-zstd\n/,
      )
      expect(formatSetup(client, await setupFor())).not.toMatch(/below a path/)
    },
  )

  it('of podman reaches a host with a port by the plain name of its upstream', async () => {
    const path = '/etc/containers/registries.conf.d/crossdock.conf'
    const local = { url: 'http://127.0.0.1:15000' }
    const named = await setupFor({ upstreams: { 'docker.io': {}, local } })
    const byPort = await setupFor({ upstreams: { 'docker.io': {}, '127.0.0.1:15000': {} } })

    expect(filesOf('podman', named).get(path)).toContain(
      '[[registry]]\nprefix = "127.0.0.1:15000"\nlocation = "127.0.0.1:15000"\n\n[[registry.mirror]]\nlocation = "proxy.example:5000/as/zstd/local"\n',
    )
    expect(filesOf('podman', named).get(path)).not.toMatch(/give the upstream a name/)
    expect(filesOf('podman', byPort).get(path)).toMatch(/give the upstream a name/)
  })

  it('of Docker points at nothing that does not follow', async () => {
    const http = formatSetup('docker', await setupFor())
    const https = formatSetup('docker', await setupFor({ reach: HTTPS, ca: CA }))
    const upstreams = { harbor: { url: 'https://harbor.example/v2/team' } }
    const hostless = { upstreams, defaultUpstream: 'harbor', reach: HTTPS, ca: CA }

    expect(http).toMatch(/see "insecure-registries" below[\s\S]*"insecure-registries": \[/)
    expect(https).not.toContain('insecure-registries')
    expect(https).toMatch(
      /ca\.crt below[\s\S]*# \/etc\/docker\/certs\.d\/proxy\.example:5000\/ca\.crt\n/,
    )
    expect([...filesOf('docker', await setupFor(hostless)).values()]).toEqual([CA])
  })

  it('of stargz names the default upstream as its example, and none that is not there', async () => {
    const profile = 'estargz'
    const local = { local: { url: 'http://10.0.0.7:5010' } }
    const below = { harbor: { url: 'https://harbor.example/v2/team' } }
    const ofLocal = await setupFor({ profile, upstreams: local, defaultUpstream: 'local' })
    const ofBelow = await setupFor({ profile, upstreams: below, defaultUpstream: 'harbor' })

    expect(formatSetup('stargz', ofLocal)).toContain('[[resolver.host."10.0.0.7:5010".mirrors]]')
    expect(formatSetup('stargz', ofLocal)).not.toContain('docker.io')
    expect(formatSetup('stargz', ofBelow)).not.toContain('docker.io')
    expect(formatSetup('stargz', ofBelow)).toMatch(/names alone/)
    expect(formatSetup('stargz', await setupFor({ profile }))).toContain(
      '[[resolver.host."docker.io".mirrors]]',
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

  it.each([
    ['stargz', 'estargz', 'containerd/stargz-snapshotter'],
    ['soci', 'soci', 'awslabs/soci-snapshotter'],
    ['nydus', 'nydus', 'dragonflyoss/nydus'],
  ])('of %s leads from its program to containerd', async (name, profile, from) => {
    const setup = await setupFor({ profile })
    const files = filesOf(name, setup)

    expect(formatSetup(name, setup)).toContain(`https://github.com/${from}/releases`)
    expect(files.get('/etc/containerd/config.toml')).toContain(
      'enable_remote_snapshot_annotations = "true"',
    )
    expect(files.get('/etc/containerd/certs.d/proxy.example:5000/hosts.toml')).toBe(
      'server = "http://proxy.example:5000"\n',
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
