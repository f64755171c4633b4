import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { DockerCredentials, type RunHelper } from '../../../src/upstream/credentials.ts'

let folder = ''

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'credentials-'))
})

afterEach(async () => {
  await rm(folder, { recursive: true })
})

async function docker(config: unknown, runHelper?: RunHelper): Promise<DockerCredentials> {
  await writeFile(join(folder, 'config.json'), JSON.stringify(config))
  return new DockerCredentials(folder, {}, runHelper)
}

const auth = (text: string) => ({ auth: Buffer.from(text).toString('base64') })

test('finds an entry for exactly the host and port, with or without a scheme in the file', async () => {
  const found = await docker({
    auths: { 'https://a.example/v2/': auth('u:p:with:colons'), 'b.example:5000': auth('b:c') },
  })

  expect(await found.find('a.example')).toEqual({ username: 'u', password: 'p:with:colons' })
  expect(await found.find('b.example:5000')).toEqual({ username: 'b', password: 'c' })
  expect(await found.find('b.example')).toBeUndefined()
  expect(await found.find('a.example.evil')).toBeUndefined()
  expect(await found.find('evil-a.example')).toBeUndefined()
})

test('knows the names of Docker Hub as one', async () => {
  const found = await docker({ auths: { 'https://index.docker.io/v1/': auth('hub:pw') } })

  for (const host of ['docker.io', 'index.docker.io', 'registry-1.docker.io']) {
    expect(await found.find(host)).toEqual({ username: 'hub', password: 'pw' })
  }
  expect(await found.find('auth.docker.io')).toBeUndefined()
})

test('takes an identity token before a password', async () => {
  const found = await docker({ auths: { 'a.example': { ...auth('u:'), identitytoken: 'id' } } })

  expect(await found.find('a.example')).toEqual({ identityToken: 'id' })
})

test('asks the helper of the host, else the store, and remembers what they say', async () => {
  const asked: string[] = []
  const found = await docker(
    { credHelpers: { 'a.example': 'ecr-login' }, credsStore: 'desktop' },
    async (name, server) => {
      asked.push(`${name} ${server}`)
      const Username = name === 'desktop' ? '<token>' : 'AWS'
      return JSON.stringify({ ServerURL: server, Username, Secret: 's3cret' })
    },
  )

  expect(await found.find('a.example')).toEqual({ username: 'AWS', password: 's3cret' })
  expect(await found.find('a.example')).toEqual({ username: 'AWS', password: 's3cret' })
  expect(await found.find('registry-1.docker.io')).toEqual({ identityToken: 's3cret' })
  expect(asked).toEqual(['ecr-login a.example', 'desktop https://index.docker.io/v1/'])
})

test('goes on to the file when a helper fails, and runs none with a name out of a path', async () => {
  const asked: string[] = []
  const runHelper: RunHelper = async (name) => {
    asked.push(name)
    throw new Error('no keychain')
  }
  const config = { auths: { 'a.example': auth('u:p') }, credHelpers: { 'a.example': '../../evil' } }
  const evil = await docker(config, runHelper)
  expect(await evil.find('a.example')).toEqual({ username: 'u', password: 'p' })
  expect(asked).toEqual([])

  const broken = await docker({ ...config, credHelpers: { 'a.example': 'pass' } }, runHelper)
  expect(await broken.find('a.example')).toEqual({ username: 'u', password: 'p' })
  expect(asked).toEqual(['pass'])
})

test.each([
  ['not there', undefined],
  ['not JSON', '{'],
  ['of another shape', '{"auths":7,"credsStore":[]}'],
])('has nothing when the file is %s', async (_, text) => {
  const file = join(folder, 'config.json')
  if (text !== undefined) await writeFile(file, text)

  expect(await new DockerCredentials(file, {}).find('a.example')).toBeUndefined()
})

test('runs a real helper with the server on its input', async () => {
  const script =
    '#!/bin/sh\nread server\nprintf \'{"Username":"%s","Secret":"of %s"}\' "$1" "$server"\n'
  await writeFile(join(folder, 'docker-credential-echo'), script, { mode: 0o755 })
  await writeFile(join(folder, 'config.json'), JSON.stringify({ credsStore: 'echo' }))
  const found = new DockerCredentials(folder, { PATH: `${folder}:${process.env.PATH}` })

  expect(await found.find('a.example')).toEqual({ username: 'get', password: 'of a.example' })
})

test('takes what a helper says that is no credentials as nothing, and tells nobody', async () => {
  for (const output of ['', 's3cret', 'null', '[]', '"s3cret"', '{"Secret":7}']) {
    const found = await docker({ credsStore: 'desktop' }, async () => output)
    await expect(found.find('a.example')).resolves.toBeUndefined()
  }
})

test('runs few helpers at a time, however many hosts they are asked about', async () => {
  let running = 0
  let most = 0
  const found = await docker({ credsStore: 'desktop' }, async () => {
    running += 1
    most = Math.max(most, running)
    await new Promise((resolve) => setImmediate(resolve))
    running -= 1
    return ''
  })
  await Promise.all(Array.from({ length: 200 }, (_, i) => found.find(`host${i}.example`)))

  expect(most).toBeLessThanOrEqual(4)
})
