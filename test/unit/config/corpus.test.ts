/** The catalogue of bad configurations, row by row: refused with the place of what is wrong. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { LIMITS } from '../../../src/config/limits.ts'
import { loadConfig } from '../../../src/config/load.ts'
import { ConfigError } from '../../../src/config/problem.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crossdock-config-'))
})
afterAll(() => rm(folder, { recursive: true }))

async function problems(text: string): Promise<string> {
  const file = join(folder, 'crossdock.yaml')
  await writeFile(file, text)
  return await loadConfig({ file, env: {}, cwd: folder }).then(
    () => 'none',
    (error: unknown) => (error instanceof ConfigError ? error.message : `thrown: ${error}`),
  )
}

const bomb = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]']
for (let i = 1; i < 12; i += 1) bomb.push(`a${i}: &a${i} [${Array(10).fill(`*a${i - 1}`)}]`)
const url = (text: string) => `upstreams: { local: { url: "${text}" } }\ndefaultUpstream: local\n`

it.each([
  ['C01', 'an unknown key', 'listen: []\nchache: {}\n', /yaml:2:1: chache: unknown key/],
  ['C01', 'a wrong type', 'cache: 5\n', /yaml:1:8: cache: must be a map/],
  ['C01', 'a key twice', 'data: a\ndata: b\n', /yaml:2:1: .*unique/],
  ['C01', 'an alias bomb', bomb.join('\n'), /yaml:1:1: .*alias/i],
  ['C01', '10 MB', `# ${'x'.repeat(1e7)}\n`, /larger than 1 MiB/],
  ['C01', 'a thousand levels', `a: ${'['.repeat(1000)}${']'.repeat(1000)}\n`, /nested too deeply/],
  [
    'C02',
    'one registry under two names',
    'upstreams: { docker.io: {}, index.docker.io: {} }\n',
    /same registry/,
  ],
  ['C03', 'a user in a URL', url('https://u:c4nary@a.example'), /upstreams\.local\.url: must be/],
  ['C03', 'a query in a URL', url('https://a.example/?x'), /upstreams\.local\.url: must be/],
  ['C03', 'a fragment in a URL', url('https://a.example/#x'), /upstreams\.local\.url: must be/],
  [
    'C03',
    'a name in a URL that is none',
    url('https://a.example/v2/Hub'),
    /upstreams\.local\.url: must be/,
  ],
  ['C03', 'a scheme that is no web', url('ftp://a.example'), /upstreams\.local\.url: must be/],
  [
    'C05',
    'a password and no name',
    'upstreams: { a.example: { password: x } }\ndefaultUpstream: a.example\n',
    /needs username/,
  ],
  [
    'C07',
    'a port that is none',
    'listen: [{ address: "0.0.0.0:65536" }]\n',
    /listen\[0\]\.address/,
  ],
  ['C07', 'a negative size', 'cache: { maxSize: -1GiB }\n', /cache\.maxSize: must be a size/],
  [
    'C08',
    'a profile under the name of another',
    'profiles: { gzip: { format: zstd } }\n',
    /profiles\.gzip/,
  ],
  ['C08', 'a profile under an alias', 'profiles: { esgz: { format: zstd } }\n', /profiles\.esgz/],
])('%s: %s', async (_row, _what, text, expected) => {
  const found = await problems(text)

  expect(found).toMatch(expected)
  expect(found).not.toContain('c4nary')
})

it.each(Object.keys(LIMITS.shape))(
  'C07: limits.%s is neither negative nor endless by 0',
  async (key) => {
    const mayBeNone = ['retries', 'redirects'].includes(key)
    expect(await problems(`limits: { ${key}: -1 }\n`)).toMatch(
      new RegExp(`limits\\.${key}: must be`),
    )
    if (mayBeNone) return
    for (const zero of ['0', '0s']) {
      expect(await problems(`limits: { ${key}: ${zero} }\n`)).toMatch(
        new RegExp(`limits\\.${key}: `),
      )
    }
  },
)
