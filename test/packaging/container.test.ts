/** The Dockerfile, built by buildah and run by runc: what is inside, who it runs as, health, and its end. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { buildImage, Container, type ImageConfig } from '../helpers/container-image.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { pull } from '../helpers/faults-puller.ts'
import { ROOT } from '../helpers/fixtures.ts'
import { describeWithPrograms } from '../helpers/packaging.ts'

const PORT = 18_020
/** The base image is 290 MB of it; the Node that npm would bring would be 210 MB. */
const MOST_BYTES = 450e6

describeWithPrograms(['buildah', 'runc'], 'the image', () => {
  let image: ImageConfig
  let bytes: number

  beforeAll(async () => {
    const built = await buildImage({ VERSION: '1.2.3', REVISION: 'abc' })
    image = built.config
    bytes = built.bytes
  })

  test('says what it is, and whom it runs as in a number that Kubernetes can check', () => {
    expect(image.Labels).toMatchObject({
      'org.opencontainers.image.title': 'crossdock',
      'org.opencontainers.image.version': '1.2.3',
      'org.opencontainers.image.revision': 'abc',
      'org.opencontainers.image.licenses': 'Apache-2.0',
    })
    expect(image.User).toBe('1000:1000')
    expect(Object.keys(image.Volumes)).toEqual(['/data'])
    expect(bytes).toBeLessThan(MOST_BYTES)
  })

  test.each([
    ['its own user', { uid: 1000, gid: 1000 }],
    ['a user that nobody chose', { uid: 1_234_567, gid: 0 }],
  ])(
    'serves from a root that is only read as %s, is healthy, and ends on SIGTERM with 0',
    async (_, user) => {
      await using registry = await FakeRegistry.start()
      await registry.pushImage('team/app', '1', { layers: [{ size: 100_000 }] })
      const door = `http://127.0.0.1:${PORT}`
      await using container = await Container.run(image, user, {
        CROSSDOCK_LISTEN: JSON.stringify([{ address: `127.0.0.1:${PORT}` }]),
        CROSSDOCK_ADMIN: 'off',
        CROSSDOCK_DEFAULT_UPSTREAM: 'local',
        CROSSDOCK_UPSTREAMS: JSON.stringify({ local: { url: registry.url } }),
        HEALTH_URL: `${door}/healthz`,
      })
      const isUp = () =>
        fetch(`${door}/readyz`).then(
          ({ ok }) => ok,
          () => false,
        )
      await expect.poll(isUp, { timeout: 20_000, message: container.output }).toBe(true)

      const { conversion } = await pull(`${door}/v2`, 'team/app', '1-zstd')
      expect(conversion).toMatch(/^converted/)
      const [kind, ...check] = image.Healthcheck?.Test ?? []
      expect([kind, (await container.exec(...check)).status]).toEqual(['CMD', 0])
      expect((await container.exec('crossdock', 'list')).stdout).toContain('team/app')
      expect((await container.exec('touch', '/app/x')).status).not.toBe(0)
      expect(await container.stop()).toBe(0)
    },
  )

  test('can be built for amd64 and arm64: the lock names add-ons for both', async () => {
    const lock = JSON.parse(await readFile(join(ROOT, 'package-lock.json'), 'utf8'))
    const names = Object.keys(lock.packages)
    for (const cpu of ['x64', 'arm64']) {
      expect(names).toContain(`node_modules/@mongodb-js/zstd-linux-${cpu}-gnu`)
    }
  })
})
