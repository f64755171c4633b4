/** What a browser sees at `/`: the set-up of every client for the address that it used, and nothing that is not its own. */
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ask } from '../helpers/faults-http.ts'
import { START_MS, TestProxy } from '../helpers/faults-proxy.ts'

const BROWSER = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' }

let proxy: TestProxy
beforeAll(async () => {
  proxy = await TestProxy.start()
}, START_MS)
afterAll(() => proxy?.[Symbol.asyncDispose]())

describe('the page at /', () => {
  test('gives the set-up of every client for this very address, with the profile that was chosen', async () => {
    const { text, host } = await page('?profile=none')

    for (const line of [
      `docker pull ${host}/REPOSITORY:TAG-none`,
      `http://${host}/as/none`,
      '/etc/containers/registries.conf.d/crossdock.conf',
      '/etc/buildkit/buildkitd.toml',
    ]) {
      expect(text).toContain(line)
    }
    expect(text).toContain('<option selected>none</option>')
    expect(text.match(/<section /g)).toHaveLength(7)
    expect((await page('?profile=estargz')).text).toContain('/etc/containerd-stargz-grpc/')
  })

  test('is for browsers alone', async () => {
    const answer = await ask(`${proxy.crossdock.url}/`, { headers: { accept: '*/*' } })

    expect(answer.status).toBe(404)
    expect(answer.headers['content-type']).toBe('application/json')
  })

  test('runs only the script that came with it, and asks nobody else for anything', async () => {
    const { text, policy } = await page()
    const script = /<script>([\s\S]*?)<\/script>/.exec(text)?.[1] ?? ''
    const style = /<style>([\s\S]*?)<\/style>/.exec(text)?.[1] ?? ''

    expect(policy).toContain(`script-src 'sha256-${hashOf(script)}'`)
    expect(policy).toContain(`style-src 'sha256-${hashOf(style)}'`)
    expect(policy).toContain("default-src 'none'")
    expect(text).not.toMatch(/(?:src|href)="(?!#)/)
  })

  test.each(['evil.example"><script>', 'a/b', 'x y', `${'a'.repeat(300)}`])(
    'does not repeat a host that is none: %s',
    async (host) => {
      const { text, type } = await page('', { host }).catch(() => ({ text: '', type: '' }))

      // Refused, in JSON, or left out.
      if (type.startsWith('text/html')) expect(text).not.toContain(host)
      else expect(['', 'application/json']).toContain(type)
    },
  )

  test('says https when a proxy in front speaks it', async () => {
    const { text, host } = await page('', { 'x-forwarded-proto': 'https' })

    expect(text).toContain(`https://${host}/as/zstd`)
  })

  test('falls back to zstd for a profile that is none', async () => {
    const { text } = await page('?profile=%3Cscript%3E')

    expect(text).toContain('<option selected>zstd</option>')
    expect(text).not.toContain('<script>%')
  })
})

async function page(query = '', headers: Readonly<Record<string, string>> = {}) {
  const url = new URL(`${proxy.crossdock.url}/${query}`)
  const answer = await ask(url.href, { headers: { ...BROWSER, ...headers } })
  return {
    text: answer.bytes.toString(),
    host: url.host,
    type: String(answer.headers['content-type']),
    policy: String(answer.headers['content-security-policy']),
  }
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('base64')
}
