/** The dashboard's page and files, as a browser asks for them: small, its own, and nothing that a page of others could use. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type RunningCommand, Workplace } from '../helpers/command.ts'

const FOLDER = join(import.meta.dirname, '../../src/http/dashboard')
/** All that the page loads, bytes. */
const MOST_BYTES = 100_000

let place: Workplace
let server: RunningCommand
let admin: string

beforeAll(async () => {
  place = await Workplace.create()
  await place.write('crossdock.yaml', 'listen: [{ address: 127.0.0.1:0 }]\nadmin: 127.0.0.1:0\n')
  server = place.start('serve')
  admin = await server.said(/(http:\S+)\/metrics/)
})
afterAll(async () => {
  server.signal()
  await server.done
  await place[Symbol.asyncDispose]()
})

async function page() {
  const response = await fetch(`${admin}/`, { headers: { accept: 'text/html' } })
  return { response, text: await response.text() }
}

/** Everything that the page leads to, by path. */
async function loaded(): Promise<ReadonlyMap<string, string>> {
  const { text } = await page()
  const found = new Map<string, string>()
  const open = [...text.matchAll(/(?:src|href)="(\/dashboard\/[^"]+)"/g)].map(
    ([, path = '']) => path,
  )
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    if (found.has(path)) continue
    const body = await (await fetch(`${admin}${path}`)).text()
    found.set(path, body)
    for (const [, name] of body.matchAll(/from '\.\/([\w.-]+)'/g)) open.push(`/dashboard/${name}`)
  }
  return found
}

describe('the dashboard', () => {
  test('is a page for browsers alone', async () => {
    const { response, text } = await page()

    expect(response.status).toBe(200)
    expect(text).toContain('<main id="content"')
    expect((await fetch(`${admin}/`)).status).toBe(404)
  })

  test('runs and loads its own files alone, in nobody’s frame', async () => {
    const { response, text } = await page()
    const policy = response.headers.get('content-security-policy') ?? ''

    for (const rule of [
      "default-src 'none'",
      "script-src 'self'",
      "frame-ancestors 'none'",
      "require-trusted-types-for 'script'",
    ]) {
      expect(policy.split('; ')).toContain(rule)
    }
    expect(policy).not.toContain('unsafe')
    expect(text).not.toMatch(/<script(?! type="module" src="\/)|style="|<style|\son\w+=/)
    for (const [path, body] of await loaded()) {
      expect([path, /https?:\/\/(?!www\.w3\.org\/2000\/svg)/.test(body)]).toEqual([path, false])
      expect([path, /innerHTML|insertAdjacentHTML|document\.write|eval\(/.test(body)]).toEqual([
        path,
        false,
      ])
    }
  })

  test(`is less than ${MOST_BYTES} bytes with everything that it loads`, async () => {
    const { text } = await page()
    const files = await loaded()
    const bytes = [text, ...files.values()].reduce((sum, body) => sum + Buffer.byteLength(body), 0)

    expect(files.size).toBeGreaterThan(9)
    expect(bytes).toBeLessThan(MOST_BYTES)
  })

  test('has an element for every id that its script looks for, once', async () => {
    const { text } = await page()
    const ids = [...text.matchAll(/ id="([^"]+)"/g)].map(([, id = '']) => id)
    const script = [...(await loaded()).values()].join('\n')
    const wanted = [...script.matchAll(/byId\('([\w-]+)'\)/g)].map(([, id = '']) => id)

    expect(new Set(ids).size).toBe(ids.length)
    expect([...new Set(wanted)].filter((id) => !ids.includes(id))).toEqual([])
  })

  test('serves its files anew only when they changed, and nothing else of the folder', async () => {
    const path = `${admin}/dashboard/app.js`
    const first = await fetch(path)
    const etag = first.headers.get('etag') ?? ''

    expect(await first.text()).toBe(await readFile(join(FOLDER, 'app.js'), 'utf8'))
    expect(first.headers.get('content-type')).toContain('text/javascript')
    expect((await fetch(path, { headers: { 'if-none-match': etag } })).status).toBe(304)
    for (const other of ['../admin.ts', '..%2fadmin.ts', 'nothing.js']) {
      expect((await fetch(`${admin}/dashboard/${other}`)).status).toBe(404)
    }
  })
})
