import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ConfigError } from '../../../src/config/problem.ts'
import { upstreamSettings } from '../../../src/config/upstream-files.ts'

let folder = ''

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'upstream-files-'))
})

afterEach(async () => {
  await rm(folder, { recursive: true })
})

const plain = { mirrors: [], tlsVerify: true, allowedRealms: [] }

const placeOf = () => 'crossdock.yaml:2:9'

test('hands on the names of files that can be read, since what is in them may change', async () => {
  const file = async (name: string, text: string) => {
    await writeFile(join(folder, name), text)
    return join(folder, name)
  }
  const local = {
    ...plain,
    username: 'robot',
    passwordFile: await file('password', ' p w \n'),
    ca: await file('ca.pem', 'CA\n'),
    cert: await file('cert.pem', 'CERT\n'),
    key: await file('key.pem', 'KEY\n'),
    tlsVerify: false,
  }

  const settings = await upstreamSettings({ upstreams: { local, other: plain } }, placeOf)

  expect(settings.local).toMatchObject({
    username: 'robot',
    password: { file: local.passwordFile },
    tls: {
      ca: { file: local.ca },
      cert: { file: local.cert },
      key: { file: local.key },
      verify: false,
    },
  })
  expect(settings.other?.password).toBeUndefined()
})

test('names every file that cannot be read, with its place in the configuration', async () => {
  const upstreams = {
    'ghcr.io': { ...plain, passwordFile: join(folder, 'none') },
    local: { ...plain, ca: folder },
  }

  const error: unknown = await upstreamSettings({ upstreams }, placeOf).catch(
    (cause: unknown) => cause,
  )

  expect(error).toBeInstanceOf(ConfigError)
  const { problems } = error as ConfigError
  expect(problems).toHaveLength(2)
  expect(problems.join()).toContain('crossdock.yaml:2:9: upstreams["ghcr.io"].passwordFile: cannot')
  expect(problems.join()).toContain('upstreams.local.ca')
})
