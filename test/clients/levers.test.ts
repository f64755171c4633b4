/** Every way to say which form is wanted, each with a client that has no other. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  type ClientName,
  forget,
  pull,
  removeClientFile,
  startClient,
  writeClientFile,
} from '../helpers/clients.ts'
import { expectFetched, markLog } from '../helpers/clients-evidence.ts'
import { type Crossdock, startCrossdock } from '../helpers/crossdock-process.ts'
import { describeWith, REGISTRY } from '../helpers/fixtures.ts'
import { type Daemon, restartDaemon } from '../helpers/fixtures-daemons.ts'
import { type Gateway, openGateway } from '../helpers/fixtures-gateway.ts'
import {
  compressionOf,
  type ManifestAnswer,
  readImage,
  readManifest,
} from '../helpers/fixtures-registry.ts'

/** Docker 20.10 cannot read zstd: its lever is tried with plain layers. */
const OTHER = 'none'

describeWith(['registry', 'clients', 'containerd'], 'levers', () => {
  /** Stands for Docker Hub: every fixture is under `library/`. */
  let hub: Gateway
  let crossdock: Crossdock
  let zstd: ManifestAnswer

  beforeAll(async () => {
    hub = await openGateway({
      to: REGISTRY,
      rewrite: (path) => path.replace('/v2/library/', '/v2/'),
    })
    crossdock = await startCrossdock({
      listeners: ['zstd', OTHER],
      config: {
        defaultUpstream: 'docker.io',
        upstreams: {
          'docker.io': { url: hub.url },
          'origin.test': { url: `http://${REGISTRY}` },
        },
      },
    })
    zstd = await readImage(`${crossdock.host}/debian:12-zstd`)
    expect(zstd.document.layers?.map(compressionOf)).toEqual(['zstd'])
  })
  afterAll(async () => {
    await crossdock?.[Symbol.asyncDispose]()
    await hub?.[Symbol.asyncDispose]()
  })

  /** Pulls and proves that the client fetched the zstd layer. */
  async function expectZstd(name: ClientName, image: string, env = {}): Promise<void> {
    await startClient(name)
    await forget(name)
    const mark = markLog(crossdock)
    await pull(name, image, env)
    await expectFetched(crossdock, mark, name, zstd)
    await forget(name)
  }

  // ---------------------------------------------------------------------------------- names that anybody can type

  test('an upstream in the name: crane', async () => {
    await expectZstd('crane', `${crossdock.host}/origin.test/debian:12-zstd`)
  })

  test('a path after /v2/: oras', async () => {
    await expectZstd('oras', `${crossdock.host}/as/zstd/debian:12`)
  })

  test('a path after /v2/ with the upstream in the name: skopeo', async () => {
    await expectZstd('skopeo', `${crossdock.host}/as/zstd/origin.test/debian:12`)
  })

  test("a listener's profile: skopeo 1.22", async () => {
    await expectZstd('skopeo22', `${crossdock.listenerHosts[0]}/debian:12`)
  })

  // ---------------------------------------------------------------------------------- containerd's mirrors

  const containerd: readonly [ClientName, string, (host: string) => string][] = [
    ['ctr16', 'a path before /v2/', (host) => mirror(`http://${host}/as/zstd`)],
    [
      'ctr21',
      'a path after /v2/',
      (host) => mirror(`http://${host}/v2/as/zstd`, 'override_path = true'),
    ],
    ['ctr24', 'a header', (host) => mirror(`http://${host}`, profileHeader(host))],
    ['cri', 'a path before /v2/', (host) => mirror(`http://${host}/as/zstd`)],
    ['cri24', 'a header', (host) => mirror(`http://${host}`, profileHeader(host))],
  ]

  for (const [name, lever, hosts] of containerd) {
    test(`${lever} of a containerd mirror, with ns: ${name}`, async () => {
      // CRI has one configured folder; ctr is told its own.
      const folder = name.startsWith('cri') ? 'hosts' : `hosts-${name}`
      const file = `${folder}/docker.io/hosts.toml`
      const path = await writeClientFile(name, file, hosts(crossdock.host))
      const env = { RC_HOSTS: path.replace('/docker.io/hosts.toml', '') }
      try {
        await expectZstd(name, 'docker.io/library/debian:12', env)
      } finally {
        await removeClientFile(name, `${folder}/docker.io`)
      }
    })
  }

  test('ns alone chooses the upstream', async () => {
    const file = 'hosts-ns/origin.test/hosts.toml'
    const path = await writeClientFile('ctr21', file, mirror(`http://${crossdock.host}/as/zstd`))
    const before = hub.seen.length
    try {
      await expectZstd('ctr21', 'origin.test/debian:12', {
        RC_HOSTS: path.replace('/origin.test/hosts.toml', ''),
      })
    } finally {
      await removeClientFile('ctr21', 'hosts-ns')
    }
    expect(hub.seen.slice(before)).toEqual([])
    const answer = await readManifest(`${crossdock.host}/debian:12`, { query: '?ns=origin.test' })
    expect(answer.headers.get('oci-namespace')).toBe('origin.test')
  })

  // ---------------------------------------------------------------------------------- podman's mirrors

  for (const name of ['podman4', 'podman'] as const) {
    test(`a mirror location in registries.conf: ${name}`, async () => {
      const path = await writeClientFile(
        name,
        'levers/registries.conf',
        registriesConf(crossdock.host),
      )
      try {
        await expectZstd(name, 'docker.io/library/debian:12', { CONTAINERS_REGISTRIES_CONF: path })
      } finally {
        await removeClientFile(name, 'levers')
      }
    })
  }

  // ---------------------------------------------------------------------------------- Docker's mirrors

  for (const name of ['dkcls', 'dkctd'] as const) {
    test(`a path in registry-mirrors: ${name}`, async () => {
      await withMirror(name, `http://${crossdock.host}/as/zstd/`, () =>
        expectZstd(name, 'debian:12'),
      )
    })
  }

  test("a listener's profile as registry mirror: Docker 20.10", async () => {
    const [, host] = crossdock.listenerHosts
    const plain = await readImage(`${crossdock.host}/debian:12-${OTHER}`)
    await withMirror('dk20', `http://${host}`, async () => {
      await forget('dk20')
      const mark = markLog(crossdock)
      await pull('dk20', 'debian:12')
      await expectFetched(crossdock, mark, 'dk20', plain)
      await forget('dk20')
    })
  })

  // ---------------------------------------------------------------------------------- what no lever may do

  test('a digest is never converted, whatever the lever says', async () => {
    const source = await readImage(`${REGISTRY}/debian:12`)
    for (const path of ['', 'as/zstd/']) {
      const pinned = await readManifest(`${crossdock.host}/${path}debian@${source.digest}`, {
        headers: { 'crossdock-profile': 'zstd' },
      })
      expect(pinned.digest).toBe(source.digest)
    }
  })

  test('an unknown profile is refused with the list of profiles', async () => {
    const byHeader = await readManifest(`${crossdock.host}/debian:12`, {
      headers: { 'crossdock-profile': 'lz4' },
    })
    expect(byHeader.status).toBe(400)
    expect(byHeader.bytes.toString()).toContain('zstd')
    const byPath = await fetch(`${crossdock.url}/as/lz4/v2/`)
    expect(byPath.status).toBe(404)
    expect(await byPath.text()).toContain('zstd')
    expect((await fetch(`${crossdock.url}/as/zstd/v2/`)).status).toBe(200)
  })
})

/** Runs with a mirror that dockerd reads only when it starts, and leaves a daemon without one. */
async function withMirror(name: Daemon, url: string, body: () => Promise<void>): Promise<void> {
  await restartDaemon(name, { RC_MIRROR: url })
  try {
    await body()
  } finally {
    await restartDaemon(name)
  }
}

/** A mirror whose origin does not answer, so that nothing but the mirror can have served the pull. */
function mirror(url: string, more = ''): string {
  return `server = "http://127.0.0.1:9"
[host."${url}"]
  capabilities = ["pull", "resolve"]
  ${more}
`
}

function profileHeader(host: string): string {
  return `[host."http://${host}".header]
    Crossdock-Profile = "zstd"`
}

function registriesConf(host: string): string {
  return `unqualified-search-registries = []
[[registry]]
prefix = "docker.io"
location = "127.0.0.1:9"
insecure = true
[[registry.mirror]]
location = "${host}/as/zstd/docker.io"
insecure = true
`
}
