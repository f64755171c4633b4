import { readdir } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { digestOf } from '../../../src/oci/digest.ts'
import { Workplace } from '../../helpers/command.ts'
import { FakeRegistry } from '../../helpers/fake-registry.ts'
import { OBEYED } from '../../helpers/hostile-texts.ts'

let registry: FakeRegistry
let place: Workplace
beforeAll(async () => {
  registry = await FakeRegistry.start()
  place = await Workplace.create()
  await place.write(
    'crossdock.yaml',
    `listen: [{ address: 127.0.0.1:0 }]\nadmin: 127.0.0.1:0\ndefaultUpstream: local\nupstreams: { local: { url: "${registry.url}" } }\n` +
      'convert: { defaultPlatforms: [linux/amd64] }\n',
  )
})
afterAll(async () => {
  await place[Symbol.asyncDispose]()
  await registry[Symbol.asyncDispose]()
})

describe('commands on a store', () => {
  it('stages, lists, inspects from both ends and removes', async () => {
    const image = await registry.pushImage('team/app', '1', { layers: 2 })

    const staged = JSON.parse((await place.run('stage', '--json', 'team/app:1-zstd')).out)
    expect(staged).toMatchObject([
      { name: 'local/team/app:1-zstd', conversion: expect.stringMatching(/^converted; seconds=/) },
    ])
    const converted: string = staged[0].digest

    const listed = JSON.parse((await place.run('list', '--json')).out)
    expect(listed).toMatchObject([
      { name: 'local/team/app:1', profile: 'original', digest: image.digest },
      { name: 'local/team/app:1', profile: 'zstd', digest: converted, storedSize: listed[1].size },
    ])

    for (const end of [
      `team/app@${image.digest}`,
      `team/app@${converted}`,
      'local/team/app:1-zstd',
    ]) {
      const inspected = JSON.parse((await place.run('inspect', '--json', end)).out)
      expect(inspected.source.digest).toBe(image.digest)
      expect(inspected.conversions).toMatchObject([{ profile: 'zstd', digest: converted }])
    }

    expect(await place.run('remove', 'team/app:1-gzip')).toMatchObject({ code: 1 })
    expect(await place.run('remove', 'team/app:1-zstd')).toMatchObject({ code: 0 })
    expect(JSON.parse((await place.run('list', '--json')).out)).toHaveLength(1)
    expect(await place.run('remove', 'team/app:1')).toMatchObject({
      code: 0,
      out: 'local/team/app:1 is forgotten\n',
    })
    expect(await place.run('list')).toMatchObject({
      code: 0,
      out: '',
      err: expect.stringContaining('nothing'),
    })
  })

  it('says which conversions go with a name', async () => {
    await registry.pushImage('gone/app', '1')
    await place.run('stage', 'gone/app:1-zstd', 'gone/app:1-none')

    const { out } = await place.run('remove', 'gone/app:1')

    expect(out).toMatch(
      /^local\/gone\/app:1 is forgotten, its conversions too: (?:zstd, none|none, zstd)\n$/,
    )
  })

  it('says of a conversion that was not made that it was not', async () => {
    const image = await registry.pushImage('unmade/app', '1')
    const kept = await registry.pushImage('kept/app', '1', { compression: 'zstd' })
    const inspect = async (...args: string[]) =>
      JSON.parse((await place.run('inspect', '--json', ...args)).out)

    const { out } = await place.run('inspect', 'unmade/app:1-zstd')
    expect(out).toContain(
      'digest    not converted yet (stage it: crossdock stage unmade/app:1-zstd)\n',
    )
    expect(out).toContain(`source    ${image.digest}\n`)
    expect(await inspect('unmade/app:1-zstd')).toMatchObject({
      digest: null,
      profile: 'zstd',
      converted: { profile: 'zstd', by: 'suffix', digest: null },
      source: { digest: image.digest },
    })
    expect((await place.run('inspect', 'kept/app:1-zstd')).out).toContain(
      `digest    ${kept.digest} (the original: already-zstd)\n`,
    )
  })

  it('names the profile of a rule and what it converted', async () => {
    const image = await registry.pushImage('ruled/app', '1')
    await place.write(
      'ruled.yaml',
      `defaultUpstream: local\nupstreams: { local: { url: "${registry.url}" } }\nrules: [{ match: local/ruled/*, profile: zstd }]\n`,
    )
    const run = (...args: string[]) => place.run(...args, 'ruled/app:1', '--config', 'ruled.yaml')

    const before = await run('inspect')
    const [staged] = JSON.parse((await run('stage', '--json')).out)
    const after = await run('inspect')

    expect(before.out).toContain(`digest    ${image.digest}\nrule      zstd: not converted yet`)
    expect(after.out).toContain(`digest    ${image.digest}\nrule      zstd: ${staged.digest} `)
  })

  it('lists what a pattern names, with or without upstream and tag', async () => {
    await registry.pushImage('glob/one', '1')
    await registry.pushImage('glob/two', '2')
    await place.run('stage', 'glob/one:1', 'glob/two:2')

    const names = async (glob: string) => {
      const { out } = await place.run('list', '--json', glob)
      return JSON.parse(out).map((entry: { name: string }) => entry.name)
    }

    expect(await names('glob/*')).toEqual(['local/glob/one:1', 'local/glob/two:2'])
    expect(await names('local/**/two')).toEqual(['local/glob/two:2'])
    expect(await names('**:1')).toContain('local/glob/one:1')
    expect(await names('glob')).toEqual([])
  })

  it('names the line of a list whose image is not there', async () => {
    place.stdin = 'containers:\n  - image: nowhere:1\n'
    const { code, out } = await place.run('stage', '-f', '-')

    expect(code).toBe(1)
    expect(out).toMatch(/nowhere:1 .* failed: standard input:2: manifest .*nowhere:1 is not there/)
    place.stdin = 'kind: Deployment\n'
    expect((await place.run('stage', '-f', '-')).err).toMatch(/standard input names no image/)
  })

  it('stages what a list names, and fails for those that are not there alone', async () => {
    await registry.pushImage('listed/one', '1')
    place.stdin = '# what the cluster runs\nlisted/one:1   # the first\n\nlisted/missing:1\n'

    const { code, out } = await place.run('stage', '-f', '-')

    expect(code).toBe(1)
    expect(out).toMatch(/local\/listed\/one:1 .*original/)
    expect(out).toMatch(
      /local\/listed\/missing:1 .*failed: standard input:4: manifest local\/listed\/missing:1 is not there/,
    )
  })

  it('says of what it staged without upstream that it is from the store, and as of when', async () => {
    await using own = await FakeRegistry.start()
    await own.pushImage('down/app', '1')
    const configOf = async (tagWindow: string) =>
      await place.write(
        `window-${tagWindow}.yaml`,
        JSON.stringify({
          ...{ defaultUpstream: 'own', upstreams: { own: { url: own.url } } },
          ...{ cache: { tagWindow }, limits: { retries: 0 } },
          convert: { defaultPlatforms: ['linux/amd64'] },
        }),
      )
    const [short, long] = [await configOf('0s'), await configOf('1d')]
    const stage = (config: string, ...more: readonly string[]) =>
      place.run('stage', 'down/app:1-zstd', '--config', config, ...more)
    expect((await stage(short)).out).not.toContain('from the store')
    own.fault({ name: 'down/app' }, { status: 503 })

    const stale = await stage(short)
    expect(stale).toMatchObject({ code: 0 })
    expect(stale.out).toMatch(/hit; from the store as of 20[-\dT:]+Z: upstream does not answer/)
    const asJson = JSON.parse((await stage(short, '--json')).out)
    expect(asJson).toMatchObject([
      { conversion: 'hit', remembered: { stale: true, checkedAt: expect.any(Number) } },
    ])
    expect((await stage(long)).out).toMatch(/as of 20[-\dT:]+Z: upstream was not asked again/)
  })

  it('stages the platforms that are asked for', async () => {
    const index = await registry.pushIndex('multi/app', '1', {
      platforms: ['linux/amd64', 'linux/arm64'],
    })

    await place.run('stage', 'multi/app:1-zstd', '--platform', 'linux/amd64,linux/arm64')
    const { out } = await place.run('inspect', '--json', `multi/app@${index.digest}`)

    expect(JSON.parse(out).conversions[0].images).toMatchObject([
      { platform: 'linux/amd64' },
      { platform: 'linux/arm64' },
    ])
  })

  it.each(['1', '1-zstd'])('fails to stage a platform that %s does not have', async (tag) => {
    await registry.pushIndex('few/app', '1', { platforms: ['linux/amd64', 'linux/arm64'] })
    await registry.pushImage('single/app', '1', { platform: 'linux/arm64' })
    const platform = ['--platform', 'linux/s390x']

    const index = await place.run('stage', `few/app:${tag}`, ...platform)
    const image = await place.run('stage', `single/app:${tag}`, ...platform)

    expect(index).toMatchObject({ code: 1 })
    expect(index.out).toContain('no such platform: linux/s390x; there are linux/amd64, linux/arm64')
    expect(image).toMatchObject({ code: 1 })
    expect(image.out).toContain('no such platform: linux/s390x; there are linux/arm64')
    expect(index.err + image.err).toBe('')
    expect(await place.run('stage', `single/app:${tag}`)).toMatchObject({ code: 0 })
    expect(
      await place.run('stage', `single/app:${tag}`, '--platform', 'linux/arm64/v8'),
    ).toMatchObject({ code: 0 })
  })

  it.each(['stage', 'export', 'copy'])(
    '%s of a broken image demands what a suffix names, and takes the original where a rule wishes',
    async (command) => {
      const rootfs = { type: 'layers', diff_ids: [digestOf(Buffer.from('another'))] }
      await registry.pushImage(`broken/${command}`, '1', { config: { rootfs } })
      await place.write(
        'wishing.yaml',
        `defaultUpstream: local\nupstreams: { local: { url: "${registry.url}" } }\nrules: [{ match: local/broken/*, profile: zstd }]\n`,
      )
      const to = { stage: [], export: ['-o', `${command}.tar`], copy: [`oci:${command}`] }[command]
      const run = (tag: string) =>
        place.run(
          ...[command, `broken/${command}:${tag}`, ...(to ?? [])],
          ...['--config', 'wishing.yaml'],
        )

      const demanded = await run('1-zstd')
      const wished = await run('1')

      expect(demanded).toMatchObject({ code: 1 })
      expect(demanded.out + demanded.err).toContain(`pull local/broken/${command}:1 to get it`)
      expect(wished).toMatchObject({ code: 0 })
      expect(wished.err.split('wish_unfulfilled')).toHaveLength(2)
    },
  )

  it('gives to pullers at once what a command staged while the server runs', async () => {
    await registry.pushImage('live/app', '1')
    const server = place.start('serve')
    const url = await server.said(/serves on (\S+)/)

    await place.run('stage', 'live/app:1-zstd')
    const answer = await fetch(`${url}/v2/live/app/manifests/1-zstd`)
    await answer.arrayBuffer()
    server.signal()

    expect(answer.headers.get('crossdock-conversion')).toBe('hit')
    expect(await server.done).toMatchObject({ code: 0 })
  })

  it('says of an image that was not pulled how large its manifest says it is', async () => {
    const { layers, config } = await registry.pushImage('unseen/app', '1', { layers: 2 })
    const total = [...layers, config].reduce((sum, { bytes }) => sum + bytes.byteLength, 0)

    const { source } = JSON.parse((await place.run('inspect', '--json', 'unseen/app:1')).out)

    expect(source).toMatchObject({
      size: total,
      storedSize: 0,
      images: [{ layers: 2, size: total }],
    })
  })

  it('looks at the images of an index for the own platforms, and names the others', async () => {
    const platforms = ['linux/amd64', 'linux/s390x']
    const index = await registry.pushIndex('unseen/multi', '1', { platforms })
    const [amd64, s390x] = index.images

    const { source } = JSON.parse((await place.run('inspect', '--json', 'unseen/multi:1')).out)
    const { out } = await place.run('inspect', 'unseen/multi:1')

    expect(source.images).toMatchObject([{ platform: 'linux/amd64', digest: amd64?.digest }])
    expect(source.size).toBeGreaterThan(60_000)
    expect(source.notPulled).toEqual([{ platform: 'linux/s390x', digest: s390x?.digest }])
    expect(out).toMatch(/original {2}linux\/s390x +- +- +not pulled/)
    expect(registry.count({ manifest: s390x?.digest ?? '' })).toBe(0)
  })

  it('guesses what a suffix was meant to be, as the server does', async () => {
    await registry.pushImage('typo/app', '1')

    const { code, err } = await place.run('inspect', 'typo/app:1-zsdt')

    expect(code).toBe(1)
    expect(err).toMatch(/if -zsdt was meant to name a profile, did you mean zstd\?/)
  })

  it('says which conversion pullers get, and what it all takes', async () => {
    await registry.pushImage('again/app', '1')
    const level = (n: number) => ['stage', ...['again/app:1-mine', '--config', `level${n}.yaml`]]
    for (const n of [3, 9]) {
      const upstreams = { local: { url: registry.url } }
      const profiles = { mine: { format: 'zstd', level: n } }
      const config = { defaultUpstream: 'local', upstreams, profiles }
      await place.write(`level${n}.yaml`, JSON.stringify(config))
      expect(await place.run(...level(n))).toMatchObject({ code: 0 })
    }
    const list = async (...args: string[]) =>
      (await place.run('list', 'again/**', '--config', 'level3.yaml', ...args)).out

    const entries = JSON.parse(await list('--json'))
    const text = await list()

    expect(entries.map((one: { current: boolean }) => one.current)).toEqual([true, false, true])
    expect(text).toMatch(/mine +outdated[\s\S]*mine +current/)
    expect(text).toMatch(
      /\n1 name, 2 conversions \(1 outdated\); [\d.]+ KiB in all, [\d.]+ KiB stored, .*\n$/,
    )
  })

  it('lists a conversion that stands in an index once, as the current one', async () => {
    await registry.pushImage('lazy/app', '1')
    const upstreams = { local: { url: registry.url } }
    const profiles = { soci: { format: 'soci', minLayerSize: 0 } }
    await place.write(
      'soci.yaml',
      JSON.stringify({ defaultUpstream: 'local', upstreams, profiles }),
    )
    const run = async (...args: string[]) => (await place.run(...args, '--config', 'soci.yaml')).out
    const [staged] = JSON.parse(await run('stage', '--json', 'lazy/app:1-soci'))

    const [source, ...conversions] = JSON.parse(await run('list', '--json', 'lazy/**'))
    const inspected = JSON.parse(await run('inspect', '--json', 'lazy/app:1'))

    expect(source).toMatchObject({ profile: 'original' })
    const index = { profile: 'soci', current: true, digest: staged.digest }
    expect(conversions).toMatchObject([index])
    expect(inspected.conversions).toMatchObject([index])
    expect(await run('list', 'lazy/**')).toMatch(/\n1 name, 1 conversion; /)
  })

  it.each([
    ['list'],
    ['inspect', 'team/app:1'],
    ['verify'],
    ['gc', '--dry-run'],
    ['remove', 'team/app:1'],
    ['record', 'show', 'team/app:1'],
  ])('takes no folder for a store that is none: %s', async (...args) => {
    const { code, err } = await place.run(...args, '--data', 'dta')

    expect(code).toBe(2)
    expect(err).toMatch(/there is no store in .*\/dta; check --data/)
    expect(await readdir(place.folder)).not.toContain('dta')
  })

  it('exports nothing offline out of a folder that is no store', async () => {
    await place.write('offline.yaml', 'cache: { offline: true }\n')
    const offline = ['--config', 'offline.yaml', '--data', 'dta']

    const { code, err } = await place.run('export', 'team/app:1', '-o', 'x.tar', ...offline)

    expect([code, err]).toEqual([2, expect.stringMatching(/there is no store in .*\/dta/)])
  })

  it('shows what an index says of its platforms without obeying it', async () => {
    const index = await registry.pushIndex('hostile/app', '1', { platforms: ['linux/amd64'] })
    const text = Buffer.from(index.bytes).toString()
    const bytes = Buffer.from(text.replace('"amd64"', '"\\u001b[2J\\u009b31m\u202eamd64"'))
    const digest = digestOf(bytes)
    registry.push('hostile/app', '1', { mediaType: index.mediaType, digest, bytes })

    const said = [
      await place.run('inspect', 'hostile/app:1'),
      await place.run('inspect', '--json', 'hostile/app:1'),
      await place.run('export', 'hostile/app:1', '-o', 'x.tar', '--platform', 'linux/s390x'),
    ]

    for (const { out, err } of said) expect(out + err).not.toMatch(OBEYED)
    expect(said[0]?.out).toContain('\\u001b[2J\\u009b31m\\u202eamd64')
  })

  it('shows bars on a terminal', async () => {
    await registry.pushImage('bars/app', '1', { layers: 2 })
    place.isTerminal = true

    const { err, code } = await place.run('stage', 'bars/app:1-zstd')
    place.isTerminal = false

    expect(code).toBe(0)
    expect(err).not.toContain('(zstd): done')
  })

  it('says in plain lines what happens where nobody can see bars', async () => {
    await registry.pushImage('lines/app', '1')

    const { err } = await place.run('stage', 'lines/app:1-zstd')
    // Of what the conversion has brought nothing is fetched.
    expect(err).not.toContain('(fetch)')

    expect(err).toMatch(/local\/lines\/app:1 \(zstd\): done in /)
    expect(err).not.toContain('\x1b[')
  })
})
