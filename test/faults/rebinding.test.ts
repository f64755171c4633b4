/** A name that leads elsewhere when it is looked up again: no request follows it to where only this machine can reach. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openAuthority } from '../helpers/certificates.ts'
import { type Namespace, openNamespace } from '../helpers/network-namespace.ts'

/** Public, and nobody's here. */
const ADDRESS = '203.0.114.7'

describe('a registry that nobody configured and whose name is rebound', () => {
  let namespace: Namespace | undefined
  let folder = ''
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'crossdock-rebinding-'))
    try {
      namespace = await openNamespace()
    } catch (error) {
      console.warn(`skipped "a name that is rebound": ${String(error)}`)
      return
    }
    await namespace.run('ip', ['addr', 'add', `${ADDRESS}/32`, 'dev', 'lo'])
  })
  afterAll(async () => {
    await namespace?.[Symbol.asyncDispose]()
    await rm(folder, { recursive: true })
  })

  test.each(['token', 'redirect', 'ping'])('reaches nothing inside by %s', async (trick) => {
    if (namespace === undefined) return
    const authority = await openAuthority(folder)
    const { cert, key } = await authority.issue('registry', '/CN=registry', ['registry.test'])
    const child = join(import.meta.dirname, '../helpers/rebinding.ts')

    const { stdout } = await namespace.run(process.execPath, [child, trick, ADDRESS, cert, key], {
      env: { NODE_EXTRA_CA_CERTS: authority.ca },
    })

    const { outcome, looked, inside } = JSON.parse(stdout) as Record<string, unknown>
    expect(inside).toBe(0)
    expect(looked).toBeGreaterThan(1)
    expect(outcome).toBe(trick === 'ping' ? 'status-401' : 'address-not-allowed')
  })
})
