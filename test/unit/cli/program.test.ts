import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { formatPath, type Path } from '../../../src/config/problem.ts'
import { configSchema } from '../../../src/config/schema.ts'
import type { SchemaNode } from '../../../src/config/schema-node.ts'
import { Workplace } from '../../helpers/command.ts'

let place: Workplace
beforeEach(async () => {
  place = await Workplace.create()
  // Commands on what is there look for a store first.
  await mkdir(join(place.folder, 'data', 'blobs'), { recursive: true })
})
afterEach(() => place[Symbol.asyncDispose]())

describe('the command line', () => {
  it('says its version', async () => {
    expect(await place.run('--version')).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
    })
  })

  it('lists every command in its help', async () => {
    const { code, out } = await place.run('--help')

    expect(code).toBe(0)
    for (const name of ['serve', 'stage', 'list', 'remove', 'inspect', 'config']) {
      expect(out).toContain(`  ${name}`)
    }
  })

  it.each([
    [['serv'], 'did you mean serve?'],
    [['list', '--colour'], "unknown option '--colour'"],
    [
      ['list', '--server', 'http://127.0.0.1:1'],
      'list takes no --server: it opens the store itself',
    ],
    [['record', 'show', '--server=http://127.0.0.1:1', 'a:1'], 'with --config'],
    [['inspect'], 'missing required argument'],
    [['stage'], 'nothing to stage'],
    [['stage', '--jobs', '0', 'a'], 'must be a whole number from 1 to 64'],
    [['stage', 'UPPER'], 'is not valid'],
    [['stage', 'https://docker.io/alpine'], 'starts like a URL'],
    [['stage', 'registry.example/alpine'], 'is not configured'],
    [['stage', '-f', 'absent.txt'], 'absent.txt: ENOENT'],
    [['stage', '--platform', 'windows', 'alpine'], '--platform'],
    [['remove', `alpine@sha256:${'0'.repeat(64)}`], 'only names are forgotten'],
    [['inspect', `sha256:${'0'.repeat(64)}`], `say of which image: NAME@sha256:${'0'.repeat(64)}`],
    [['list', '--config', 'absent.yaml'], 'cannot read the configuration file'],
    [['serve', '--listen', 'nowhere'], '--listen: listen[0].address: must be an address'],
    [['config', 'client', 'rkt'], 'Allowed choices are docker, containerd'],
    [['config', 'client', 'docker', '--address', 'bad'], '--address: must be an address'],
    [['config', 'client', 'docker', '--address', 'http://a.example:5000'], '--address: must be'],
    [['config', 'client', 'docker', '--address', ':5000'], '--address: must be'],
    [['config', 'client', 'docker', '--profile', 'lz4'], 'no such profile "lz4"'],
  ])('ends with 2 and a reason for %j', async (args, reason) => {
    const { code, err, out } = await place.run(...args)

    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toContain(reason)
    expect(err).not.toMatch(/^\s+at /m)
  })

  it.each([
    ['--config', 'other.yaml', 'config', 'show', '--json'],
    ['--config=other.yaml', '--data', 'd', 'config', 'show', '--json'],
    ['--data', 'd', 'config', 'show', '--config', 'other.yaml', '--json'],
  ])('takes common options before the command: %j', async (...args) => {
    await place.write('other.yaml', 'data: d\ncache: { maxSize: 7GiB }\n')

    const { code, out } = await place.run(...args)

    expect(code).toBe(0)
    expect(JSON.parse(out)).toMatchObject({ cache: { maxSize: '7GiB' }, data: `${place.folder}/d` })
  })

  it('refuses an unknown command behind a common option', async () => {
    expect(await place.run('--data', 'd', 'lst')).toMatchObject({
      code: 2,
      err: expect.stringContaining('did you mean list?'),
    })
  })

  it('says what config check does not look at', async () => {
    const store = { blobs: 's3://bucket', catalog: 'postgres://db.example/crossdock' }
    await place.write('crossdock.yaml', JSON.stringify({ store }))
    const { code, out } = await place.run('config', 'check')

    expect([code, out]).toEqual([0, expect.stringContaining('whether PostgreSQL and S3 answer')])
  })

  it('reports every mistake of a configuration with its place', async () => {
    const file = await place.write(
      'crossdock.yaml',
      'cache: { maxSize: lots }\nrules: [{ match: "*" }]\n',
    )

    const { code, err } = await place.run('config', 'check')

    expect(code).toBe(2)
    expect(err).toContain(`${file}:1:19: cache.maxSize`)
    expect(err).toContain(`${file}:2:9: rules[0]: needs profile, record or attach`)
  })

  it.each(['config check', 'serve'])('refuses open credentials in "%s"', async (command) => {
    await place.write(
      'crossdock.yaml',
      'upstreams: { docker.io: { username: me, password: hunter2 } }\n',
    )

    const { code, err } = await place.run(...command.split(' '))

    expect(code).toBe(2)
    expect(err).toContain('upstreams["docker.io"].username')
    expect(err).not.toContain('hunter2')
  })

  it('fails a check for every file that is named and cannot be used', async () => {
    const config = {
      listen: [{ address: '127.0.0.1:5000', tls: { cert: 'absent.crt', key: 'absent.key' } }],
      auth: { mode: 'htpasswd', htpasswd: 'users' },
      adminUsers: 'admins',
      upstreams: { 'docker.io': { ca: 'ca.pem' } },
      rules: [{ match: '**', record: './absent.json' }],
    }
    await place.write('crossdock.yaml', JSON.stringify(config))
    await place.write('users', 'bob:plain\n')

    const { code, err } = await place.run('config', 'check')

    expect(code).toBe(2)
    expect(err).toMatch(/listen\[0\]\.tls\.cert: cannot read the file/)
    expect(err).toMatch(/listen\[0\]\.tls\.key: cannot read the file/)
    expect(err).toMatch(/users:1: the password of bob is no bcrypt hash/)
    expect(err).toMatch(/upstreams\["docker\.io"\]\.ca: cannot read the file/)
    expect(err).toMatch(/rules\[0\]\.record: .*absent\.json/)
    expect(err).toMatch(/adminUsers: cannot be used: ENOENT/)
  })

  it('fails a check for whatever key of the schema names a file that is not there', async () => {
    const paths = filesIn(configSchema())
    const tree = {}
    setPath(tree, ['listen', 0, 'address'], '127.0.0.1:0')
    setPath(tree, ['auth', 'mode'], 'htpasswd')
    setPath(tree, ['upstreams', 'a.example', 'username'], 'me')
    setPath(tree, ['upstreams', 'docker.io', 'url'], 'https://docker.io')
    // The folder of the data is made where it is not there.
    const files = paths.filter((path) => path.join() !== 'data')
    for (const path of files) setPath(tree, path, 'absent')
    await place.write('crossdock.yaml', JSON.stringify(tree))

    const { code, err } = await place.run('config', 'check')

    expect(code).toBe(2)
    expect(files.length).toBeGreaterThan(7)
    for (const path of files) expect(err).toContain(` ${formatPath(path)}: cannot `)
  })

  it('refuses a key that is not that of its certificate in a check and at the start', async () => {
    const fixture = (name: string) =>
      fileURLToPath(new URL(`../../fixtures/tls/${name}`, import.meta.url))
    const tls = { cert: fixture('server.pem'), key: fixture('client.key') }
    const listener = { address: '127.0.0.1:0', tls }
    await place.write('crossdock.yaml', JSON.stringify({ listen: [listener], data: 'd' }))

    for (const command of [['config', 'check'], ['serve']]) {
      const { code, err } = await place.run(...command)
      expect(code).toBe(2)
      expect(err).toMatch(/listen\[0\]\.tls: .* cannot be used together/)
    }
  })

  it('prints a JSON schema and the configuration in force', async () => {
    const schema = JSON.parse((await place.run('config', 'schema')).out)
    const shown = JSON.parse((await place.run('config', 'show', '--json', '--data', 'd')).out)

    expect(schema.properties.cache.properties.maxSize).toBeDefined()
    expect(shown).toMatchObject({ cache: { maxSize: '50GiB' }, data: `${place.folder}/d` })
  })
})

describe('client set-up', () => {
  it.each([
    ['docker', '"registry-mirrors": ["http://proxy.example:5000/as/none/"]'],
    ['containerd', '[host."http://proxy.example:5000/as/none"]'],
    ['podman', 'location = "proxy.example:5000/as/none/docker.io"'],
    ['buildkit', 'mirrors = ["proxy.example:5000/as/none"]'],
    ['kubernetes', 'image: proxy.example:5000/docker.io/library/alpine:3-none'],
  ])('of %s names this server and the profile', async (client, line) => {
    const { code, out } = await place.run('config', 'client', client, '--profile', 'none')

    expect(code).toBe(0)
    expect(out).toContain(line)
  })

  it('follows the first listener: address, TLS', async () => {
    await place.write(
      'crossdock.yaml',
      'listen: [{ address: "registry.example:443", tls: { cert: c, key: k } }]\nupstreams: { ghcr.io: {}, local: { url: "http://127.0.0.1:1" } }\ndefaultUpstream: ghcr.io\n',
    )

    const { out } = await place.run('config', 'client', 'podman')

    expect(out).toContain('location = "registry.example:443/as/zstd/ghcr.io"')
    expect(out).not.toContain('insecure')
    expect(out).not.toContain('docker.io')
  })

  it.each(['docker', 'containerd', 'podman', 'buildkit', 'kubernetes'])(
    'of %s names nothing that no upstream here has',
    async (client) => {
      await place.write(
        'crossdock.yaml',
        'upstreams: { quay.io: {}, local: { url: "http://127.0.0.1:1" } }\ndefaultUpstream: quay.io\n',
      )
      const hosts = await place.run('config', 'client', client, '--address', 'a.example')
      await place.write(
        'crossdock.yaml',
        'upstreams: { near: { url: "http://127.0.0.1:1" }, far: { url: "http://127.0.0.1:2" } }\ndefaultUpstream: near\n',
      )
      const names = await place.run('config', 'client', client)

      expect(hosts.code + names.code).toBe(0)
      expect(hosts.out).toContain('quay.io')
      expect(hosts.out + names.out).not.toMatch(/alpine|docker\.io|ghcr\.io|registry\.example/)
      expect(names.out).toContain('proxy.example:5000/REPOSITORY:TAG-zstd')
    },
  )

  it('puts no port into a path for podman, which takes none there', async () => {
    await place.write(
      'crossdock.yaml',
      'upstreams: { "a.example:5000": {}, "b.example:5000": {} }\ndefaultUpstream: a.example:5000\n',
    )

    const { out } = await place.run('config', 'client', 'podman')

    expect(out).toContain('location = "proxy.example:5000/as/zstd"\n')
    expect(out).not.toContain('/as/zstd/b.example:5000')
    expect(out).toContain('# b.example:5000: podman takes no port')
  })
})

/** Where the schema has the path of a file, with one name and one place of each map and list. */
function filesIn(node: SchemaNode, path: Path = []): readonly Path[] {
  if (node.path === true) return [path]
  const { properties = {}, additionalProperties: rest, items } = node
  return [
    ...Object.entries(properties).flatMap(([key, one]) => filesIn(one, [...path, key])),
    ...(typeof rest === 'object' ? filesIn(rest, [...path, 'a.example']) : []),
    ...(items === undefined ? [] : filesIn(items, [...path, 0])),
  ]
}

function setPath(tree: object, path: Path, value: string): void {
  const [key = '', ...rest] = path
  const node = tree as Record<PropertyKey, unknown>
  if (rest.length === 0) {
    node[key] = value
    return
  }
  const inner = node[key] ?? (typeof rest[0] === 'number' ? [] : {})
  node[key] = inner
  setPath(inner as object, rest, value)
}
