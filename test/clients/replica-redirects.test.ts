/** Every real client that says who it is, in front of three servers that send it to S3: what it sends there, and what it goes on with. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { hashSync } from 'bcryptjs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ClientName, forget, getClient, startClient } from '../helpers/clients.ts'
import { forgetLogins, LOGIN_CLIENTS } from '../helpers/clients-login.ts'
import type { RequestLine } from '../helpers/crossdock-process.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { pull } from '../helpers/faults-puller.ts'
import { describeWith } from '../helpers/fixtures.ts'
import { restartDaemon } from '../helpers/fixtures-daemons.ts'
import { hasSharedPair, Replicas } from '../helpers/replicas.ts'
import type { S3Fault, SeenRequest } from '../helpers/s3-wire.ts'

const PATIENCE_MS = 300_000

const ALICE = { user: 'alice', password: 'wonderland' }
const BASIC = `Basic ${Buffer.from(`${ALICE.user}:${ALICE.password}`).toString('base64')}`

/** A form that every client reads. */
const IMAGE = 'to/s3:1-none'

const LARGE = 6_000_000

/** Of a layer that containerd fetches in parallel, bytes. */
const PART = 2_000_000
const PARTS = [0, 1, 2, 3].map((i) => `bytes=${i * PART}-`)

describeWith(['clients', 'containerd'], 'three servers that send clients to S3', () => {
  let folder: string
  let origin: FakeRegistry
  let replicas: Replicas

  beforeAll(async () => {
    if (!hasSharedPair) return
    folder = await mkdtemp(join(tmpdir(), 'crossdock-replica-redirects-'))
    const htpasswd = join(folder, 'users')
    await writeFile(htpasswd, `${ALICE.user}:${hashSync(ALICE.password, 8)}\n`)
    origin = await FakeRegistry.start()
    const auth = { mode: 'htpasswd', htpasswd }
    replicas = await Replicas.start({ registry: origin, redirect: true, config: { auth } })
    await origin.pushImage('to/s3', '1', { layers: [{ size: 200_000 }, { size: LARGE }] })
    // In the store before the first of them comes.
    await pull(replicas.base, 'to/s3', '1-none', { headers: { authorization: BASIC } })
    await forgetLogins()
  }, PATIENCE_MS)

  afterAll(async () => {
    await replicas?.[Symbol.asyncDispose]()
    await origin?.[Symbol.asyncDispose]()
    await forgetLogins()
    if (folder !== undefined) await rm(folder, { recursive: true, force: true })
  })

  /** Pulls into an empty store; says what the servers and S3 were asked by this client meanwhile. */
  async function pulled(name: ClientName) {
    const client = LOGIN_CLIENTS.find((one) => one.name === name)
    const { userAgent } = getClient(name)
    await startClient(name)
    await forget(name)
    const login = await client?.login?.(replicas.host, ALICE)
    expect(login?.status ?? 0, login?.stderr).toBe(0)
    const marks = replicas.all.map(({ proxy, s3 }) => [
      proxy.crossdock.requests().length,
      s3.seen.length,
    ])
    const result = await client?.pull(`${replicas.host}/${IMAGE}`, ALICE)
    await forget(name)
    expect(result?.status, `${result?.stdout}${result?.stderr}`).toBe(0)
    const here: RequestLine[] = []
    const atS3: SeenRequest[] = []
    for (const [i, { proxy, s3 }] of replicas.all.entries()) {
      const [line = 0, seen = 0] = marks[i] ?? []
      here.push(...proxy.crossdock.requests().slice(line))
      atS3.push(...s3.seen.slice(seen).filter((one) => isOf(one, userAgent)))
    }
    return { here: here.filter((one) => one.route === 'blob'), atS3 }
  }

  describe.skipIf(!hasSharedPair)('with a password', () => {
    for (const { name } of LOGIN_CLIENTS) {
      test(`${getClient(name).title} gets its blobs there, and keeps the password to itself`, async () => {
        const { here, atS3 } = await pulled(name)

        expect(here.map(({ status }) => status)).toContain(307)
        for (const { method, status } of here) if (method === 'HEAD') expect(status).toBe(200)
        expect(atS3.length).toBeGreaterThan(0)
        for (const { method, headers, query } of atS3) {
          expect([method, headers.authorization]).toEqual(['GET', undefined])
          expect(query.get('X-Amz-Signature')).not.toBeNull()
        }
      })
    }
  })

  test.skipIf(!hasSharedPair)(
    'containerd 2.4 that fetches a layer in parallel asks S3 for each part',
    async () => {
      await restartDaemon('ctr24', { RC_CHUNK: String(PART) })
      const { here, atS3 } = await pulled('ctr24').finally(() => restartDaemon('ctr24'))

      // Parts of which a busy S3 does not speak in time come as bytes.
      const asked = new Set(atS3.map(({ headers }) => headers.range))
      expect(asked.size).toBeGreaterThan(1)
      expect(PARTS).toEqual(expect.arrayContaining([...asked]))
      for (const { headers } of atS3) expect(headers.authorization).toBeUndefined()
      expect(here.map(({ status }) => status)).toContain(307)
    },
  )

  describe.skipIf(!hasSharedPair)('when S3 breaks off in the middle', () => {
    // The others of reference/clients.md give up, with or without a redirect, or wait for long.
    for (const name of ['ctr24', 'podman', 'skopeo22'] as const) {
      test(`${getClient(name).title} goes on with a range, by an address of its own`, async () => {
        const { userAgent } = getClient(name)
        let isCut = false
        const fault = (request: SeenRequest): S3Fault | undefined => {
          if (isCut || !isOf(request, userAgent) || request.headers.range !== undefined) return
          return { kind: 'cut', after: LARGE / 2 }
        }
        for (const { s3 } of replicas.all) {
          s3.fault = fault
          s3.onCut = () => {
            isCut = true
          }
        }
        const { here, atS3 } = await pulled(name)
        for (const { s3 } of replicas.all) s3.fault = () => undefined

        expect(isCut).toBe(true)
        expect(atS3.map(({ headers }) => headers.range)).toContain(`bytes=${LARGE / 2}-`)
        expect(here.filter(({ status }) => status === 307).length).toBeGreaterThan(2)
      })
    }
  })
})

function isOf({ headers }: SeenRequest, userAgent: RegExp): boolean {
  return userAgent.test(headers['user-agent'] ?? '')
}
