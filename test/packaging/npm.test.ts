/** The ways by npm, as a new user goes them: from a clone, and from the package. Programs come from the npm registry. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Crossdock, startCrossdock } from '../helpers/crossdock-process.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { pull } from '../helpers/faults-puller.ts'
import { mustRun, runCommand } from '../helpers/fixtures-command.ts'
import { cloneTo, userEnvironment } from '../helpers/packaging.ts'

/** `htpasswd -nbB alice secret`, cost 5. */
const ALICE = 'alice:$2b$05$umcwZ0usVx99bm474Xtys.5ac6Zu8Vlo8beOgb2LeBBPtnjfBNO0y'

const env = userEnvironment() as Record<string, string>
let place: string
let clone: string
let registry: FakeRegistry

beforeAll(async () => {
  place = await mkdtemp(join(tmpdir(), 'crossdock-npm-'))
  registry = await FakeRegistry.start()
  await registry.pushImage('team/app', '1', { layers: [{ size: 200_000 }] })
  clone = await cloneTo(join(place, 'clone'))
})

afterAll(async () => {
  await registry?.[Symbol.asyncDispose]()
  await rm(place, { recursive: true, force: true })
})

function npm(folder: string, ...args: readonly string[]) {
  return mustRun('npm', ['--prefix', folder, ...args], { env })
}

function start(...installed: readonly string[]): Promise<Crossdock> {
  const { host } = new URL(registry.url)
  return startCrossdock({ installed, upstream: host, env })
}

describe('a clone', () => {
  test('starts without what only developers need, with its own Node, and ends on SIGTERM with 0', async () => {
    await npm(clone, 'ci', '--omit=dev')
    const server = await start('npm', '--prefix', clone, '--silent', 'start', '--')
    try {
      const { layers } = await pull(`${server.url}/v2`, 'team/app', '1-zstd')
      expect(layers.map(({ mediaType }) => mediaType.split('+')[1])).toEqual(['zstd'])
      const { version } = JSON.parse(
        await readFile(join(clone, 'node_modules/node/package.json'), 'utf8'),
      )
      expect(await server.metric('crossdock_build_info', { node: `v${version}` })).toBe(1)
      expect(await server.stop()).toBe(0)
    } finally {
      await server[Symbol.asyncDispose]()
    }
  })

  test.each([
    ['npx crossdock', ['npx', 'crossdock']],
    ['npm start --', ['npm', 'start', '--silent', '--']],
  ])('finds files from where the user stands: %s', async (_, words) => {
    const folder = join(clone, 'somewhere', 'below')
    await mkdir(folder, { recursive: true })
    await writeFile(join(folder, 'mine.yaml'), 'log: { level: debug }\n')

    const call = [...words, 'config', 'check', '--config', 'mine.yaml'].join(' ')
    const { stdout } = await mustRun('sh', ['-c', `cd ${folder} && ${call}`], { env })

    expect(stdout).toContain(`the configuration is sound (${folder}/mine.yaml)`)
  })
})

describe('the package', () => {
  let file: string
  let prefix: string
  let command: string

  beforeAll(async () => {
    // What only developers need is added to what is there, the compiler with it.
    await npm(clone, 'install', '--no-save')
    await mustRun('sh', ['-c', `cd ${clone} && npm pack --pack-destination ${place}`], { env })
    const { version } = JSON.parse(await readFile(join(clone, 'package.json'), 'utf8'))
    prefix = join(place, 'prefix')
    file = join(place, `crossdock-${version}.tgz`)
    await mustRun('npm', ['install', '--global', '--prefix', prefix, file], { env })
    command = join(prefix, 'bin', 'crossdock')
  })

  test('holds what runs, and neither sources nor tests', async () => {
    const { stdout } = await mustRun('tar', ['-tzf', file])
    const tops = new Set(stdout.split('\n').flatMap((path) => path.split('/')[1] ?? []))

    const documents = ['CHANGELOG.md', 'LICENSE', 'NOTICE', 'README.md', 'SECURITY.md']
    const rest = ['bin', 'config', 'deploy', 'dist', 'package.json']
    expect([...tops].sort()).toEqual([...documents, ...rest].sort())
  })

  test('gives a command that serves, converts, checks passwords in a thread and ends on SIGTERM with 0', async () => {
    const users = join(place, 'users')
    await writeFile(users, `${ALICE}\n`)
    const { host } = new URL(registry.url)
    const server = await startCrossdock({
      installed: [command],
      upstream: host,
      env,
      config: { auth: { mode: 'htpasswd', htpasswd: users } },
    })
    try {
      const login = (password: string) => ({
        headers: { authorization: `Basic ${btoa(`alice:${password}`)}` },
      })
      const dashboard = await fetch(`${server.adminUrl}/dashboard/app.js`)
      expect(dashboard.status).toBe(200)
      const wrong = await fetch(`${server.url}/v2/`, login('guessed'))
      expect(wrong.status).toBe(401)
      for (const profile of ['zstd', 'estargz', 'zstdchunked']) {
        const image = await pull(`${server.url}/v2`, 'team/app', `1-${profile}`, login('secret'))
        expect(image.conversion).toMatch(/^converted/)
      }
      expect(await server.stop()).toBe(0)
    } finally {
      await server[Symbol.asyncDispose]()
    }
  })

  test('brings a page of the manual for each command, of which man complains about none', async () => {
    const pages = join(prefix, 'share/man/man1')
    const names = await readdir(pages)
    expect(names).toContain('crossdock-record-show.1')

    for (const name of names) {
      const { stdout, stderr } = await mustRun('man', ['--warnings', '-l', join(pages, name)], {
        env,
      })
      expect([name, stderr]).toEqual([name, ''])
      expect(stdout).toContain('SYNOPSIS')
    }
  })

  test('says in one sentence what it needs where an old Node is all there is', async () => {
    const old = join(place, 'old')
    await mkdir(old, { recursive: true })
    await writeFile(join(old, 'node'), '#!/bin/sh\necho v18.19.0\n', { mode: 0o755 })
    await rm(join(prefix, 'lib/node_modules/crossdock/node_modules/node'), { recursive: true })

    const { status, stderr } = await runCommand(command, ['list'], {
      env: { ...env, PATH: `${old}:${env.PATH}` },
    })

    expect(stderr).toMatch(/^crossdock: needs Node 24 or newer, and v18.19.0 is in PATH; .*\n$/)
    expect(status).toBe(2)
  })
})
