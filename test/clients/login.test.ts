/** Clients that say who they are: by name and password, as each of them logs in, and by certificate. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { hashSync } from 'bcryptjs'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { forget, getClient, startClient } from '../helpers/clients.ts'
import { forgetLogins, LOGIN_CLIENTS, type LoginClient } from '../helpers/clients-login.ts'
import { type Crossdock, type RequestLine, startCrossdock } from '../helpers/crossdock-process.ts'
import { describeWith, REGISTRY } from '../helpers/fixtures.ts'
import { type Gateway, openGateway } from '../helpers/fixtures-gateway.ts'
import { readImage } from '../helpers/fixtures-registry.ts'

const ALICE = { user: 'alice', password: 'wonder:land é' }
const BOB = { user: 'bob', password: 'builder' }
const LINES = [ALICE, BOB].map(({ user, password }) => `${user}:${hashSync(password, 8)}\n`)
const WAIT = { timeout: 10_000, interval: 50 }

/** A megabyte that she may have, in a form that every client reads, and an image that is there but not for her. */
const MINE = 'tags:1.10.4-none'
const NOT_MINE = 'legacy:single'

describeWith(['registry', 'clients', 'containerd'], 'users of an htpasswd file', () => {
  let folder: string
  let htpasswd: string
  let slow: Gateway
  let crossdock: Crossdock

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'crossdock-login-'))
    htpasswd = join(folder, 'users')
    await writeFile(htpasswd, LINES.join(''))
    slow = await openGateway({ to: REGISTRY, bytesPerSecond: 400_000 })
    const upstreams = { origin: { url: `http://${REGISTRY}` }, slow: { url: slow.url } }
    const policy = [
      { who: ['@dev'], match: ['origin/tags'], profiles: ['uncompressed'] },
      { who: ['bob'], match: ['slow/**'] },
    ]
    const auth = { mode: 'htpasswd', htpasswd, groups: { dev: ['alice'] }, policy }
    crossdock = await startCrossdock({ config: { upstreams, auth } })
  })
  afterAll(async () => {
    await crossdock?.[Symbol.asyncDispose]()
    await slow?.[Symbol.asyncDispose]()
    await forgetLogins()
    await rm(folder, { recursive: true, force: true })
  })

  /** Answers since a moment, as soon as one with this status is among them. */
  async function answers(since: number, status: number): Promise<readonly RequestLine[]> {
    const lines = () => crossdock.requests().slice(since)
    await vi.waitFor(() => expect(lines().map((one) => one.status)).toContain(status), WAIT)
    return lines()
  }

  for (const client of LOGIN_CLIENTS) {
    const { title, userAgent } = getClient(client.name)

    test(`${title} gets in with the right password, and no further than the policy says`, async () => {
      await startClient(client.name)
      await forget(client.name)
      await forgetLogins()

      await expectNobodyIn(client)
      await expectAliceIn(client, userAgent)
      await expectHidden(client)
      await forget(client.name)
    })
  }

  async function expectNobodyIn(client: LoginClient): Promise<void> {
    const wrong = { user: 'alice', password: 'wrong' }
    const mark = crossdock.requests().length
    const { status } = client.login
      ? await client.login(crossdock.host, wrong)
      : await client.pull(`${crossdock.host}/${MINE}`, wrong)
    expect(status).not.toBe(0)
    // Some try TLS first, which is no HTTP request.
    const requests = (await answers(mark, 401)).filter(({ path }) => path !== '')
    for (const { status } of requests) expect(status).toBe(401)
  }

  async function expectAliceIn(client: LoginClient, userAgent: RegExp): Promise<void> {
    const mark = crossdock.requests().length
    const said = await client.login?.(crossdock.host, ALICE)
    expect(said?.status ?? 0, said?.stderr).toBe(0)
    const { status, stdout, stderr } = await client.pull(`${crossdock.host}/${MINE}`, ALICE)
    expect(status, stdout + stderr).toBe(0)
    const served = (await answers(mark, 200)).filter((one) => one.status === 200)
    expect(served.map((one) => one.route)).toContain('manifest')
    await vi.waitFor(() => {
      const blobs = crossdock.requests().slice(mark)
      const whole = blobs.filter(({ route, method }) => route === 'blob' && method === 'GET')
      expect(whole.filter((one) => userAgent.test(one.userAgent ?? ''))).not.toEqual([])
      expect(whole.filter((one) => one.status === 200 && one.principal !== 'alice')).toEqual([])
    }, WAIT)
  }

  async function expectHidden(client: LoginClient): Promise<void> {
    const mark = crossdock.requests().length
    const { status, stdout, stderr } = await client.pull(`${crossdock.host}/${NOT_MINE}`, ALICE)
    expect(status).not.toBe(0)
    expect(stdout + stderr).not.toContain(ALICE.password)
    const lines = await answers(mark, 404)
    // Some ask without credentials first, and Docker asks whether there is a registry at all.
    const repository = lines.filter(({ route }) => route !== 'none' && route !== 'base')
    for (const line of repository) expect([401, 404]).toContain(line.status)
  }

  test('a running pull of podman survives SIGHUP, and the next one of the same user does not', async () => {
    const client = LOGIN_CLIENTS.find((one) => one.name === 'podman4')
    if (client?.login === undefined) throw new Error('podman has a login')
    await forget('podman4')
    await client.login(crossdock.host, BOB)
    const image = `${crossdock.host}/slow/tags:1.2.1-slim`
    const { config, layers = [] } = (await readImage(`${REGISTRY}/tags:1.2.1-slim`)).document
    const wanted = [config, ...layers].map((one) => one?.digest ?? '')
    const running = client.pull(image, BOB)
    // Everything has been asked for, and the layer needs seconds.
    await vi.waitFor(() => expect([...slow.blobGets().keys()].sort()).toEqual(wanted.sort()), WAIT)

    await writeFile(htpasswd, LINES.slice(0, 1).join(''))
    process.kill(crossdock.pid, 'SIGHUP')
    await vi.waitFor(() => expect(crossdock.output()).toContain('"event":"reloaded"'), WAIT)

    const first = await running
    expect(first.status, first.stderr).toBe(0)
    await forget('podman4')
    const mark = crossdock.requests().length
    expect((await client.pull(image, BOB)).status).not.toBe(0)
    await answers(mark, 401)
    await writeFile(htpasswd, LINES.join(''))
    await forget('podman4')
  })

  test('no password is in what crossdock writes', () => {
    for (const { user, password } of [ALICE, BOB]) {
      const basic = Buffer.from(`${user}:${password}`).toString('base64')
      expect(crossdock.output()).not.toContain(password)
      expect(crossdock.output()).not.toContain(basic)
    }
  })
})
