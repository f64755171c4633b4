import { expect, test } from 'vitest'
import { formatLocation, nameAt, parseLocation, pingUrl, urlAt } from '../../../src/oci/location.ts'

test.each([
  ['https://registry.example', '/v2/a/b/manifests/1', 'a/b'],
  ['https://registry.example/', '/v2/a/b/manifests/1', 'a/b'],
  ['https://registry.example/v2/', '/v2/a/b/manifests/1', 'a/b'],
  ['http://[::1]:5000', '/v2/a/b/manifests/1', 'a/b'],
  [
    'https://host/artifactory/api/docker/Repo/',
    '/artifactory/api/docker/Repo/v2/a/b/manifests/1',
    'a/b',
  ],
  ['https://nexus.example/repository/hub', '/repository/hub/v2/a/b/manifests/1', 'a/b'],
  ['https://harbor.example/v2/hub-proxy', '/v2/hub-proxy/a/b/manifests/1', 'hub-proxy/a/b'],
  ['https://host/base/v2/team/hub/', '/base/v2/team/hub/a/b/manifests/1', 'team/hub/a/b'],
  ['https://host/api/v2/docker/v2', '/api/v2/docker/v2/a/b/manifests/1', 'a/b'],
])('%s asks for %s', (text, path, name) => {
  const location = parseLocation(text)
  if (location === undefined) throw new Error(`${text} is refused`)

  const url = urlAt(location, 'a/b', 'manifests/1')
  expect(url.pathname).toBe(path)
  expect(url.origin).toBe(new URL(text).origin)
  expect(nameAt(location, 'a/b')).toBe(name)
  expect(pingUrl(location).pathname).toBe(`${location.base}/v2/`)
  expect(parseLocation(formatLocation(location))).toEqual(location)
})

test.each([
  'registry.example',
  'ftp://host',
  'https://u:p@host',
  'https://host?x=y',
  'https://host/#x',
  'https://host/a%2fb',
  'https://host//a',
  'https://host/v2/Upper',
  'https://host/v2/a//b',
  'https://host/v2/-a',
])('%s is no place of a registry', (text) => {
  expect(parseLocation(text)).toBeUndefined()
})
