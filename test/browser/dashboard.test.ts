/** The dashboard in a real browser, with real pulls under way: what it shows, whom it serves, what its buttons do. */
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  describeWithBrowser,
  openBrowser,
  SCREENSHOTS,
  SOON_MS,
  seriousFindings,
  visit,
} from '../helpers/browser.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { pull } from '../helpers/faults-puller.ts'
import { TestProxy } from '../helpers/faults-proxy.ts'

const VIEWS = ['now', 'images', 'store', 'trouble'] as const
/** What is held stays under way for as long as all views take. */
const CONFIG = {
  cache: { lease: '0' },
  limits: { retries: 0, upstreamIdle: '10m', leastRate: '1B' },
}
const NARROW = { width: 390, height: 844 }

describeWithBrowser('the dashboard', () => {
  let registry: FakeRegistry
  let proxy: TestProxy
  let browser: Browser
  /** Lets go of what is held for the views that show work under way. */
  let release: () => void
  let admin: string

  beforeAll(async () => {
    registry = await FakeRegistry.start()
    proxy = await TestProxy.start({ registry, config: CONFIG })
    admin = proxy.crossdock.adminUrl
    browser = await openBrowser()
    await prepare(registry, proxy)
    release = await hold(registry, proxy)
  })

  afterAll(async () => {
    release?.()
    await browser?.close()
    await proxy?.[Symbol.asyncDispose]()
    await registry?.[Symbol.asyncDispose]()
  })

  test('shows what is under way by name and tag, layer by layer, and who waits', async () => {
    await using seen = await visit(browser, admin)
    const { page, complaints, asked } = seen
    const job = page.locator('#jobs > li', { hasText: 'team/live:1' })
    await job.waitFor({ timeout: SOON_MS })

    expect(await job.locator('.badge').textContent()).toBe('zstd')
    expect(await job.textContent()).toContain('127.0.0.1 for origin/team/live:1-zstd')
    expect(await job.locator('.layers > li').count()).toBe(3)
    await expect.poll(() => job.locator('.layers').textContent()).toMatch(/done.*converting/s)
    const download = page.locator('#downloads > li', { hasText: 'team/slow:2' })
    expect(await download.locator('progress').getAttribute('aria-label')).toContain('team/slow:2')
    expect(await page.locator('#tiles').textContent()).toMatch(/From the store\d/)
    expect(await page.locator('#upstreams').textContent()).toContain('origin')
    expect(await page.locator('#chart-bytes svg .line').count()).toBe(2)
    expect(complaints).toEqual([])
    expect([...asked]).toEqual([new URL(admin).host])
  })

  test('shows an image with its variants side by side', async () => {
    await using seen = await visit(browser, `${admin}/#images`)
    const { page, complaints } = seen
    await page.locator('#images a', { hasText: 'team/shop:2.14' }).click({ timeout: SOON_MS })
    const table = page.locator('table.variants')
    await table.waitFor({ timeout: SOON_MS })

    expect(await table.locator('thead th').allTextContents()).toEqual([
      expect.stringContaining('original'),
      expect.stringContaining('estargz'),
      expect.stringContaining('zstd'),
    ])
    const row = async (name: string) =>
      await table
        .locator('tr', { has: page.locator(`th[scope=row]:text-is("${name}")`) })
        .textContent()
    expect(await row('Size')).toMatch(/of the source/)
    expect(await row('Layers')).toMatch(/3 layers/)
    expect(await row('Pull')).toContain(
      `docker pull ${new URL(proxy.crossdock.url).host}/team/shop:2.14-zstd`,
    )
    expect(await row('Read by range')).toMatch(/4\.0 KiB in 1 range/)
    expect(await page.title()).toContain('team/shop:2.14')
    expect(complaints).toEqual([])
  })

  test('finds images, and shows the store and what goes next', async () => {
    await using seen = await visit(browser, `${admin}/#images`)
    const { page, complaints } = seen
    await page.locator('#images > li').nth(2).waitFor({ timeout: SOON_MS })
    await page.getByRole('searchbox').fill('shop')
    await page.keyboard.press('Enter')
    await expect.poll(() => page.locator('#images > li').count(), { timeout: SOON_MS }).toBe(1)

    await page.getByRole('link', { name: 'Store' }).click()
    await page.locator('#by-profile li', { hasText: 'estargz' }).waitFor({ timeout: SOON_MS })
    expect(await page.locator('#by-upstream').textContent()).toContain('origin')
    expect(await page.locator('#upkeep').textContent()).toContain('Last scrub')
    expect(complaints).toEqual([])
  })

  test('shows refusals by reason, with what was said', async () => {
    await using seen = await visit(browser, `${admin}/#trouble`)
    const { page, complaints } = seen
    await page.locator('#refused > li').first().waitFor({ timeout: SOON_MS })

    expect(await page.locator('#refusals').textContent()).toMatch(/manifestUnknown|MANIFEST/i)
    expect(await page.locator('#refused').textContent()).toContain('team/nothing')
    expect(complaints).toEqual([])
  })

  test('stages by a form, pins by a button, and forgets only when it was said twice', async () => {
    await using seen = await visit(browser, `${admin}/#images`)
    const { page, complaints } = seen
    await page.getByLabel('Stage an image').fill('team/acts:1-none')
    await page.getByRole('button', { name: 'Stage' }).click()
    await page.locator('#tasks li', { hasText: 'team/acts:1-none' }).waitFor({ timeout: SOON_MS })
    await page.locator('#images a', { hasText: 'team/acts:1' }).click({ timeout: SOON_MS })

    await page.getByRole('button', { name: 'Pin none', exact: true }).click({ timeout: SOON_MS })
    await page.getByRole('button', { name: 'Unpin none' }).waitFor({ timeout: SOON_MS })
    expect(await page.locator('#said').textContent()).toContain('stays')

    const remove = page.getByRole('button', { name: 'Remove', exact: true })
    await remove.click()
    const dialog = page.getByRole('dialog')
    expect(await dialog.textContent()).toContain('Forget origin/team/acts:1?')
    await page.keyboard.press('Escape')
    await dialog.waitFor({ state: 'hidden' })
    const names = async () => await (await fetch(`${admin}/api/images?match=team/acts`)).text()
    expect(await names()).toContain('team/acts:1')
    await remove.click()
    await dialog.getByRole('button', { name: 'Forget it' }).click()
    await expect.poll(names, { timeout: SOON_MS }).not.toContain('team/acts:1')
    expect(complaints).toEqual([])
  })

  test('tells why an action was refused', async () => {
    await using seen = await visit(browser, `${admin}/#images`)
    await seen.page.getByLabel('Stage an image').fill('A B')
    await seen.page.getByRole('button', { name: 'Stage' }).click()

    await expect
      .poll(() => seen.page.locator('#tasks').textContent(), { timeout: SOON_MS })
      .toMatch(/failed.*A B/s)
  })

  test('shows names and texts of others as texts', async () => {
    await using seen = await visit(browser, `${admin}/#trouble`)
    await seen.page
      .locator('#refused > li', { hasText: '<img' })
      .first()
      .waitFor({ timeout: SOON_MS })

    expect(await seen.page.locator('#refused img').count()).toBe(0)
    expect(seen.complaints).toEqual([])
  })

  test('goes by keyboard alone', async () => {
    await using seen = await visit(browser, admin)
    const { page } = seen
    await page.locator('#tiles > div').first().waitFor({ timeout: SOON_MS })
    const focused = () => page.evaluate('document.activeElement?.textContent')
    await page.keyboard.press('Tab')
    expect(await focused()).toBe('Skip to content')
    for (let i = 0; i < 2; i += 1) await page.keyboard.press('Tab')
    expect(await focused()).toContain('Images')
    await page.keyboard.press('Enter')
    await expect.poll(focused).toBe('Images')
    expect(await page.title()).toContain('Images')
  })

  test('does not chatter: only what somebody did is said aloud', async () => {
    await using seen = await visit(browser, admin)
    await seen.page.locator('#jobs > li').first().waitFor({ timeout: SOON_MS })
    const live = await seen.page.locator('[aria-live], [role=status], [role=alert]').count()

    expect(live).toBe(1)
    expect(await seen.page.locator('#said').textContent()).toBe('')
  })

  test('says when it lost the server, and connects again when it is back', async () => {
    await using way = await Way.open(Number(new URL(admin).port))
    await using seen = await visit(browser, way.url)
    const link = async () => await seen.page.locator('#link').textContent()
    await expect.poll(link, { timeout: SOON_MS }).toBe('live')

    await way.cut()
    await expect.poll(link, { timeout: SOON_MS }).toBe('not connected')
    await way.mend()
    await expect.poll(link, { timeout: SOON_MS }).toBe('live')
    expect(await seen.page.locator('#said').textContent()).toBe('Connected again')
  })

  test.each([
    ['light', undefined],
    ['dark', undefined],
    ['light', NARROW],
    ['dark', NARROW],
  ] as const)(
    'has nothing serious for axe in %s, viewport %j, and fits its width',
    async (colorScheme, viewport) => {
      await using seen = await visit(browser, admin, { colorScheme, ...(viewport && { viewport }) })
      const { page } = seen
      const width = viewport === undefined ? 'wide' : 'narrow'
      for (const view of [...VIEWS, 'images/origin%2Fteam%2Fshop:2.14']) {
        await open(page, `${admin}/#${view}`)
        const found = (await seriousFindings(page)).map((one) => `${view}: ${one}`)
        expect(found).toEqual([])
        const overflow = await page.evaluate('document.documentElement.scrollWidth - innerWidth')
        expect([view, overflow]).toEqual([view, 0])
        const name = `dashboard-${view.split('/').length > 1 ? 'image' : view}-${colorScheme}-${width}`
        await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`), fullPage: true })
      }
    },
  )
})

/** The way to a server, which can be cut as if the server had gone. */
class Way implements AsyncDisposable {
  readonly #sockets = new Set<Socket>()
  readonly #server: Server
  #port = 0

  private constructor(to: number) {
    this.#server = createServer((socket) => {
      const beyond = connect(to, '127.0.0.1')
      for (const one of [socket, beyond]) {
        this.#sockets.add(one)
        one.on('error', () => undefined)
        one.on('close', () => this.#sockets.delete(one))
      }
      socket.pipe(beyond).pipe(socket)
    })
  }

  static async open(to: number): Promise<Way> {
    const way = new Way(to)
    await way.mend()
    return way
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  async mend(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(this.#port, '127.0.0.1', resolve))
    this.#port = (this.#server.address() as AddressInfo).port
  }

  async cut(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cut()
  }
}

/** Until what the view shows has come. */
async function open(page: Page, url: string): Promise<void> {
  await page.goto(url)
  await page.reload()
  const shown: Record<string, string> = {
    now: '#jobs > li',
    images: '#images > li',
    store: '#by-profile li',
    trouble: '#refused > li',
  }
  const view = new URL(url).hash.slice(1)
  await page
    .locator(shown[view] ?? 'table.variants')
    .first()
    .waitFor({ timeout: SOON_MS })
}

/** Images of some kinds, pulled and refused. */
async function prepare(registry: FakeRegistry, { base }: TestProxy): Promise<void> {
  const text = (size: number, word: string) => ({
    files: [{ name: 'etc/text', body: `${word} `.repeat(size / (word.length + 1)) }],
  })
  await registry.pushImage('team/shop', '2.14', {
    layers: [text(900_000, 'shop'), text(400_000, 'frontend'), { size: 200_000 }],
  })
  await registry.pushImage('library/alpine', '3', { layers: [{ size: 300_000 }] })
  await registry.pushImage('team/acts', '1', { layers: [{ size: 20_000 }] })
  await registry.pushImage('library/debian', '12', { layers: [{ size: 500_000 }] })
  await pull(base, 'team/shop', '2.14-zstd')
  const { layers } = await pull(base, 'team/shop', '2.14-estargz')
  for (const [name, tag] of [
    ['library/alpine', '3-zstd'],
    ['library/debian', '12-zstd'],
  ] as const) {
    await pull(base, name, tag)
    await pull(base, name, tag)
  }
  const layer = layers.at(-1)?.digest
  const range = { headers: { range: 'bytes=0-4095' } }
  await (await fetch(`${base}/team/shop/blobs/${layer}`, range)).arrayBuffer()
  await (await fetch(`${base}/team/nothing/manifests/1`)).text()
  const hostile = { headers: { 'Crossdock-Profile': '<img src=x onerror=alert(1)>' } }
  await (await fetch(`${base}/team/shop/manifests/2.14`, hostile)).text()
}

/** A conversion and a download that stay under way until they are released. */
async function hold(registry: FakeRegistry, { base }: TestProxy): Promise<() => void> {
  const image = await registry.pushImage('team/live', '1', {
    layers: [{ size: 100_000 }, { size: 2_000_000 }, { size: 900_000 }],
  })
  const slow = await registry.pushImage('team/slow', '2', { layers: [{ size: 900_000 }] })
  const held = [image.layers[1], slow.layers[0]].map((layer) =>
    registry.hold({ blob: layer?.digest ?? '', method: 'GET' }, { afterBytes: 700_000 }),
  )
  const asked = [pull(base, 'team/live', '1-zstd'), pull(base, 'team/slow', '2')]
  for (const one of asked) one.catch(() => undefined)
  await Promise.all(held.map(({ reached }) => reached))
  return () => {
    for (const one of held) one.release()
  }
}
