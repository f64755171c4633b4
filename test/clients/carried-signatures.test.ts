/** The way across an air gap of a signed image whose originals are made again: pulled by its digest and verified with nobody to ask. */
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { IdentifiedBundle } from '../../src/bundle/description.ts'
import { digestOf, hexOf } from '../../src/oci/digest.ts'
import { filesOf, UPSTREAM } from '../helpers/bundle-hosts.ts'
import { type Crossdock, startCrossdock } from '../helpers/crossdock-process.ts'
import { type Distribution, startDistribution } from '../helpers/distribution.ts'
import {
  type FakeImage,
  type FakeIndex,
  type FakeLayer,
  fakeImage,
  fakeIndex,
  fakeLayer,
} from '../helpers/fake-image.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { CLIENTS, forget, getClient } from '../helpers/clients.ts'
import { pullIn, restartIn } from '../helpers/clients-in-namespace.ts'
import { CACHE, CLIENTS_DIR, describeWith, ROOT, ROOTFS, TOOLS } from '../helpers/fixtures.ts'
import { mustRun, runCommand } from '../helpers/fixtures-command.ts'
import { type Daemon, stopDaemon } from '../helpers/fixtures-daemons.ts'
import { type Namespace, openNamespace } from '../helpers/network-namespace.ts'

const COSIGN = join(TOOLS, 'cosign')
const NAME = 'team/app'
/** What attests what. */
const PREDICATE = {
  buildDefinition: { buildType: 'https://example/x' },
  runDetails: { builder: { id: 'https://example/b' } },
}

describeWith(['cosign', 'clients', 'containerd'], 'a signed image in a small bundle', () => {
  let folder: string
  let registry: Distribution
  let app: FakeIndex
  let env: Record<string, string>

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'crossdock-signed-'))
    env = {
      COSIGN_PASSWORD: 'x',
      TUF_ROOT: join(folder, 'tuf'),
      SIGSTORE_NO_CACHE: '1',
      HOME: folder,
    }
    registry = await startDistribution()
    app = await pushed()
    for (const keys of ['own', 'other']) {
      await mustRun(COSIGN, ['generate-key-pair', '--output-key-prefix', join(folder, keys)], {
        env,
      })
    }
    await sign()
  })
  afterAll(async () => {
    await registry?.[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  })

  /** Two platforms, each with layers as several programs compress them. */
  async function pushed(): Promise<FakeIndex> {
    await using source = await FakeRegistry.start()
    const platforms = ['linux/amd64', 'linux/arm64']
    const images: FakeImage[] = []
    for (const platform of platforms) {
      images.push(await fakeImage({ platform, layers: await layersOf(platform, folder) }))
    }
    const index = fakeIndex(images)
    source.push(NAME, '1', index)
    await mustRun('skopeo', [
      ...['copy', '-q', '--all', '--src-tls-verify=false', '--dest-tls-verify=false'],
      ...[`docker://${new URL(source.url).host}/${NAME}:1`, `docker://${registry.host}/${NAME}:1`],
    ])
    return index
  }

  async function sign(): Promise<void> {
    const at = `${registry.host}/${NAME}@${app.digest}`
    const key = [
      '--key',
      join(folder, 'own.key'),
      '--yes',
      '--allow-http-registry',
      '--use-signing-config=false',
    ]
    const legacy = ['--new-bundle-format=false']
    await mustRun(COSIGN, ['sign', ...key, '--tlog-upload=false', '--recursive', ...legacy, at], {
      env,
    })
    await mustRun(COSIGN, ['sign', ...key, '--tlog-upload=false', '--new-bundle-format', at], {
      env,
    })
    const predicate = join(folder, 'predicate.json')
    await writeFile(predicate, JSON.stringify(PREDICATE))
    const what = ['--type', 'slsaprovenance1', '--predicate', predicate]
    await mustRun(COSIGN, ['attest', ...key, '--tlog-upload=false', ...legacy, ...what, at], {
      env,
    })
  }

  const crossdock = (...args: readonly string[]) => [join(ROOT, 'src/main.ts'), ...args]

  test('is pulled by the digest of its source and verified behind the gap, and nothing is dialled', async () => {
    const bundle = join(folder, 'app.tar.xz')
    await writeFile(
      join(folder, 'near.yaml'),
      JSON.stringify({
        ...{ defaultUpstream: UPSTREAM, upstreams: { [UPSTREAM]: { url: registry.url } } },
        data: join(folder, 'near'),
      }),
    )
    const args = [`${NAME}:1`, '--platform', 'all', '--restore-digests', '-o', bundle]
    await mustRun(
      process.execPath,
      crossdock('export', '--config', join(folder, 'near.yaml'), ...args),
    )
    await expectSplit(bundle)

    await using host = await openNamespace()
    const before = await host.attempts()
    const data = join(folder, 'far')
    await writeFile(join(folder, 'far.yaml'), JSON.stringify({ cache: { offline: true } }))
    const places = ['--config', join(folder, 'far.yaml'), '--data', data]
    await host.run(process.execPath, crossdock('import', ...places, bundle))
    await using far = await startCrossdock({
      ...{ data, command: host.command },
      config: {
        cache: { offline: true },
        upstreams: { [UPSTREAM]: {} },
        defaultUpstream: UPSTREAM,
      },
    })

    await pulled(host, far)
    await verified(host, far)
    expect(await host.attempts()).toBe(before)
  })

  async function expectSplit(bundle: string): Promise<void> {
    const files = await filesOf(bundle)
    const description = JSON.parse(Buffer.from(files.get('bundle.json') ?? []).toString())
    const { layers } = description as IdentifiedBundle
    expect(layers?.filter(({ travels }) => travels === 'whole')).toEqual([])
    const own = app.images.flatMap((image) => image.layers.map(({ digest }) => digest))
    expect(layers?.map(({ digest }) => digest).toSorted()).toEqual([...new Set(own)].toSorted())
  }

  /** By everything that people have, none of which takes a byte that its digest does not name. */
  async function pulled(host: Namespace, far: Crossdock): Promise<void> {
    const at = `${far.host}/${UPSTREAM}/${NAME}@${app.digest}`
    await copied(host, at)
    await host.run(join(TOOLS, 'crane'), ['validate', '--insecure', '--remote', at])
    for (const { name } of CLIENTS) {
      if (getClient(name).daemon !== undefined) continue
      await forget(name)
      await pullIn(host, name, at)
      await forget(name)
    }
    for (const name of DAEMONS) {
      try {
        await restartIn(host, name)
        await forget(name)
        await pullIn(host, name, at)
        expect(await digestIn(host, name, at)).toContain(app.digest)
        await forget(name)
      } finally {
        await stopDaemon(name)
      }
    }
  }

  /** Every platform, layers and all, to the last bit. */
  async function copied(host: Namespace, at: string): Promise<void> {
    const to = join(folder, 'skopeo')
    const how = ['copy', '-q', '--all', '--src-tls-verify=false']
    await host.run('skopeo', [...how, `docker://${at}`, `dir:${to}`])
    const names = await readdir(to)
    for (const { layers, config } of app.images) {
      for (const { digest } of [config, ...layers]) expect(names).toContain(hexOf(digest))
    }
    expect(digestOf(await readFile(join(to, 'manifest.json')))).toBe(app.digest)
  }

  async function verified(host: Namespace, far: Crossdock): Promise<void> {
    const repository = `${far.host}/${UPSTREAM}/${NAME}`
    const cosign = (key: string, command: string, digest: string, ...more: readonly string[]) => {
      const how = ['--key', join(folder, `${key}.pub`), '--insecure-ignore-tlog=true']
      const [program = '', ...words] = [
        ...host.command,
        COSIGN,
        command,
        ...how,
        '--allow-http-registry',
        ...more,
      ]
      return runCommand(program, [...words, `${repository}@${digest}`], { env })
    }
    const legacy = '--new-bundle-format=false'
    const attested = [
      'verify-attestation',
      app.digest,
      '--type',
      'slsaprovenance1',
      legacy,
    ] as const
    for (const { digest } of [app, ...app.images]) {
      expect(await cosign('own', 'verify', digest, legacy)).toMatchObject({ status: 0 })
    }
    expect(await cosign('own', 'verify', app.digest, '--new-bundle-format')).toMatchObject({
      status: 0,
    })
    expect(await cosign('own', ...attested)).toMatchObject({ status: 0 })
    expect((await cosign('other', 'verify', app.digest, legacy)).status).not.toBe(0)
  }
})

const DAEMONS = [
  'ctr16',
  'ctr21',
  'ctr24',
  'dk20',
  'dkcls',
  'dkctd',
] as const satisfies readonly Daemon[]

/** What a daemon says that it has under this name. */
async function digestIn(
  host: Namespace,
  name: (typeof DAEMONS)[number],
  at: string,
): Promise<string> {
  const isOld = name === 'ctr16' || name === 'dk20'
  const socket = isOld ? join(CLIENTS_DIR, name, 'sock') : join(ROOTFS, `rc/${name}.sock`)
  const [program, ...args] = name.startsWith('ctr')
    ? ['ctr', '-a', socket, 'images', 'ls', `name==${at}`]
    : [
        'docker',
        '-H',
        `unix://${socket}`,
        'image',
        'inspect',
        '--format',
        '{{join .RepoDigests " "}}',
        at,
      ]
  return (await host.run(program ?? '', args)).stdout
}

const PYTHON =
  'import sys,zlib; c=zlib.compressobj(int(sys.argv[1]),zlib.DEFLATED,31); open(sys.argv[3],"wb").write(c.compress(open(sys.argv[2],"rb").read())+c.flush())'

/** Programs that write gzip as those do which push images, from a file to a file: zlib, and Go's where they are built. */
const ENCODERS: readonly (readonly string[])[] = [
  ['python3', '-c', PYTHON, '6'],
  ['python3', '-c', PYTHON, '9'],
  ...[
    [join(CACHE, 'encoders/gzips-go1.26'), 'std', '6'],
    [join(CACHE, 'encoders/gzips-go1.26'), 'std', '1'],
    [join(CACHE, 'encoders/gzips-kp1.18.0'), 'pgzip', '-1'],
  ].filter(([program = '']) => existsSync(program)),
]

/** Code, as images have it, and text, by every encoder. */
async function layersOf(platform: string, folder: string): Promise<readonly FakeLayer[]> {
  const code = (await readFile(process.execPath)).subarray(4_000_000, 4_600_000)
  const body = `${platform}\n`.repeat(10_000)
  const layers: FakeLayer[] = []
  for (const [i, words] of ENCODERS.entries()) {
    const files = [
      { name: `${i}/app`, body: code },
      { name: `${i}/motd`, body },
    ]
    layers.push(await repacked(await fakeLayer({ files }), words, folder))
  }
  return layers
}

async function repacked(
  layer: FakeLayer,
  [program = '', ...args]: readonly string[],
  folder: string,
): Promise<FakeLayer> {
  const [from, to] = [join(folder, 'layer.tar'), join(folder, 'layer.tar.gz')]
  await writeFile(from, layer.tar)
  await mustRun(program, [...args, from, to])
  const bytes = await readFile(to)
  return { ...layer, bytes, digest: digestOf(bytes) }
}
