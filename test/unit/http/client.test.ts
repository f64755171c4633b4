/** What a puller's headers say of it. */
import { describe, expect, it } from 'vitest'
import { platformsOf } from '../../../src/http/client.ts'

const linux = (architecture: string, more: object = {}) => ({ os: 'linux', architecture, ...more })

describe('the platform in a User-Agent', () => {
  const docker = 'docker/27.3.1 go/go1.22.7 git-commit/41ca978 kernel/6.8.0-45-generic'

  it.each([
    [
      `${docker} os/linux arch/arm64 UpstreamClient(Docker-Client/27.3.1 \\(linux\\))`,
      linux('arm64'),
    ],
    [
      `${docker} os/linux arch/amd64 containerd-client/2.1.9 storage-driver/overlayfs`,
      linux('amd64'),
    ],
    ['cri-o/1.30.0 go/go1.22.7 os/linux arch/s390x', linux('s390x')],
    [`${docker} os/windows arch/amd64`, { os: 'windows', architecture: 'amd64' }],
  ])('%s', (userAgent, platform) => {
    expect(platformsOf(userAgent)).toEqual([platform])
  })

  it.each([
    [undefined],
    [''],
    ['containerd/2.1.9'],
    [docker],
    [`${docker} os/linux`],
    [`${docker} arch/arm64`],
    [`${docker} os/../ arch/arm64`],
    [`${docker} os/linux arch/arm64,amd64`],
    [`${docker} UpstreamClient(x os/linux arch/arm64)`],
    [`${'x'.repeat(2000)} os/linux arch/arm64`],
  ])('is not in %s', (userAgent) => {
    expect(platformsOf(userAgent)).toEqual([])
  })
})
