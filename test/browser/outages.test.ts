/** The dashboard in a real browser while PostgreSQL is away: it stays alive, says so, and leaves out what only the catalog knows. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
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
import { TestProxy } from '../helpers/faults-proxy.ts'
import { pull } from '../helpers/faults-puller.ts'
import { hasPostgres } from '../helpers/postgres.ts'
import { type PostgresServer, startPostgres } from '../helpers/postgres-server.ts'
import { S3_CREDENTIALS } from '../helpers/s3-server.ts'
import { blobsText, freshPlace, hasS3 } from '../helpers/s3-store.ts'

const HAS_PAIR = hasPostgres && hasS3

describeWithBrowser('the dashboard of a server on PostgreSQL and S3', () => {
  let origin: FakeRegistry
  let postgres: PostgresServer
  let proxy: TestProxy
  let browser: Browser

  beforeAll(async () => {
    if (!HAS_PAIR) return
    origin = await FakeRegistry.start()
    const folder = await mkdtemp(join(tmpdir(), 'crossdock-dashboard-'))
    await rm(folder, { recursive: true })
    postgres = await startPostgres(folder)
    const blobs = blobsText(await freshPlace())
    const config = { store: { blobs, catalog: postgres.url('postgres') } }
    proxy = await TestProxy.start({ registry: origin, config, env: S3_CREDENTIALS })
    await origin.pushImage('away/warm', '1')
    await pull(proxy.base, 'away/warm', '1')
    browser = await openBrowser()
  })

  afterAll(async () => {
    await browser?.close()
    await proxy?.[Symbol.asyncDispose]()
    await postgres?.[Symbol.asyncDispose]()
    await origin?.[Symbol.asyncDispose]()
  })

  test.skipIf(!HAS_PAIR)('stays alive while PostgreSQL is away, and says so', async () => {
    const admin = proxy.crossdock.adminUrl
    await postgres.stop('fast')
    try {
      await using seen = await visit(browser, admin)
      const { page } = seen
      const away = page.locator('#outages > li')
      await away.waitFor({ timeout: SOON_MS })
      expect(await away.textContent()).toMatch(/away.*PostgreSQL at 127\.0\.0\.1.*since/)
      expect(await page.locator('#said').textContent()).toBe('PostgreSQL is away')
      expect(await page.locator('#link').textContent()).toBe('live')
      const requests = page.locator('#tiles > div', { hasText: 'Requests' })
      const before = await requests.textContent()
      expect(before).toMatch(/\d since the start/)
      await pull(proxy.base, 'away/warm', '1')
      await expect.poll(() => requests.textContent(), { timeout: SOON_MS }).not.toBe(before)
      await page.screenshot({ path: join(SCREENSHOTS, 'outage-now.png'), fullPage: true })
      expect(await seriousFindings(page)).toEqual([])

      await page.getByRole('link', { name: 'Store' }).click()
      const upkeep = page.locator('#upkeep')
      await expect.poll(() => upkeep.textContent(), { timeout: SOON_MS }).toContain('Last scrub–')
      const report = page.locator('#report-state')
      await expect
        .poll(() => report.textContent(), { timeout: 3 * SOON_MS })
        .toContain('does not answer')
      await page.screenshot({ path: join(SCREENSHOTS, 'outage-store.png'), fullPage: true })
      await page.getByRole('link', { name: 'Trouble' }).click()
      expect(await page.locator('#trouble-empty').isVisible()).toBe(false)
      await page.getByRole('link', { name: 'Images' }).click()
      const empty = page.locator('#images-empty')
      await expect
        .poll(() => empty.textContent(), { timeout: SOON_MS })
        .toContain('does not answer')

      await postgres.start()
      await away.waitFor({ state: 'detached', timeout: 3 * SOON_MS })
      await page.locator('#images > li').first().waitFor({ timeout: SOON_MS })
      expect(await page.locator('#said').textContent()).toMatch(/PostgreSQL is back|1 image/)
    } finally {
      await postgres.start().catch(() => undefined)
    }
  })
})
