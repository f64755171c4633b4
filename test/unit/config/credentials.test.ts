import { describe, expect, it } from 'vitest'
import {
  dockerConfigFile,
  holdsCredentials,
  isOpenToAll,
  refuseOpenCredentials,
} from '../../../src/config/credentials.ts'
import { loadConfig } from '../../../src/config/load.ts'

const placeOf = () => 'crossdock.yaml:3:5'
const TLS = { cert: '/c', key: '/k' }

async function configWith(settings: {
  readonly listen: readonly object[]
  readonly upstream?: object
  readonly allow?: boolean
}) {
  const { config } = await loadConfig({
    env: {
      CROSSDOCK_LISTEN: JSON.stringify(settings.listen),
      CROSSDOCK_UPSTREAMS: JSON.stringify({ 'docker.io': settings.upstream ?? {} }),
      CROSSDOCK_ALLOW_OPEN_CREDENTIALS: String(settings.allow ?? false),
    },
    cwd: '/nowhere',
    systemFile: '/nowhere/at/all',
  })
  return config
}

describe('credentials that would be open to all', () => {
  it.each([
    [
      'loopback',
      [{ address: '127.0.0.1:0' }, { address: '[::1]:0' }, { address: 'localhost:0' }],
      false,
    ],
    ['all addresses', [{ address: '0.0.0.0:0' }], true],
    ['all IPv6 addresses', [{ address: '[::]:0' }], true],
    [
      'one open listener among closed ones',
      [{ address: '127.0.0.1:0' }, { address: '10.0.0.1:0' }],
      true,
    ],
    ['TLS without client certificates', [{ address: '0.0.0.0:0', tls: TLS }], true],
    ['client certificates', [{ address: '0.0.0.0:0', tls: { ...TLS, clientCa: '/a' } }], false],
  ])('judges %s', async (_what, listen, expected) => {
    expect(isOpenToAll(await configWith({ listen }))).toBe(expected)
  })

  it.each([
    ['a password', { username: 'u', password: 'p' }],
    ['a password file', { username: 'u', passwordFile: '/f' }],
    ['a client certificate', { cert: '/c', key: '/k' }],
  ])('refuses %s on an open listener unless that is meant', async (_what, upstream) => {
    const listen = [{ address: '0.0.0.0:0' }]
    const open = await configWith({ listen, upstream })
    const meant = await configWith({ listen, upstream, allow: true })
    const closed = await configWith({ listen: [{ address: '127.0.0.1:0' }], upstream })

    expect(() => refuseOpenCredentials(open, placeOf)).toThrow(
      /^crossdock\.yaml:3:5: upstreams\["docker\.io"\].*allowOpenCredentials/,
    )
    expect(() => refuseOpenCredentials(meant, placeOf)).not.toThrow()
    expect(() => refuseOpenCredentials(closed, placeOf)).not.toThrow()
  })

  it('does not mind an open listener without credentials', async () => {
    const config = await configWith({ listen: [{ address: '0.0.0.0:0' }] })

    expect(() => refuseOpenCredentials(config, placeOf)).not.toThrow()
  })
})

describe('the Docker configuration', () => {
  it('lies where DOCKER_CONFIG says, else in the home folder', () => {
    expect(dockerConfigFile({}, '/home/me')).toBe('/home/me/.docker/config.json')
    expect(dockerConfigFile({ DOCKER_CONFIG: '/etc/d' }, '/home/me')).toBe('/etc/d/config.json')
  })

  it.each([
    ['{"auths":{"ghcr.io":{"auth":"x"}}}', true],
    ['{"credHelpers":{"gcr.io":"gcloud"}}', true],
    ['{"credsStore":"pass"}', true],
    ['{"auths":{}}', false],
    ['{}', false],
    ['not JSON', false],
    ['', false],
  ])('holds credentials: %s', (text, expected) => {
    expect(holdsCredentials(text)).toBe(expected)
  })
})
