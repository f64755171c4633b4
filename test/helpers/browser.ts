/** A real browser for tests: Debian's Chromium, driven by playwright-core, judged by axe. */
import { existsSync } from 'node:fs'
import { mkdir, readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import { describe, expect } from 'vitest'
import { ROOT } from './fixtures.ts'

const CHROMIUM = '/usr/bin/chromium'
/** Screenshots of the last run; not kept in git. */
export const SCREENSHOTS = join(ROOT, 'docs', 'screenshots')
/** For what is shown a moment after it happened. */
export const SOON_MS = 10_000

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js')

/** A suite that is skipped with a printed reason where there is no browser, and that fails there when `CI` is set. */
export function describeWithBrowser(title: string, body: () => void): void {
  if (existsSync(CHROMIUM)) {
    describe(title, body)
    return
  }
  const reason = `${CHROMIUM} is not there; run test/browser-setup.sh`
  if (process.env.CI === 'true') throw new Error(`cannot run "${title}": ${reason}`)
  console.warn(`skipped "${title}": ${reason}`)
  describe.skip(title, body)
}

export async function openBrowser(): Promise<Browser> {
  await mkdir(SCREENSHOTS, { recursive: true })
  return await chromium.launch({
    executablePath: CHROMIUM,
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu'],
  })
}

export interface Visit extends AsyncDisposable {
  readonly page: Page
  /** What the page complained about: errors, what its policy forbids, what it could not load. */
  readonly complaints: readonly string[]
  /** Whom it asked, by host. */
  readonly asked: ReadonlySet<string>
}

export async function visit(
  browser: Browser,
  url: string,
  how: BrowserContextOptions = {},
): Promise<Visit> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...how })
  const page = await context.newPage()
  const complaints: string[] = []
  const asked = new Set<string>()
  page.on('pageerror', (error) => complaints.push(error.message))
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text())
  })
  page.on('request', (request) => asked.add(new URL(request.url()).host))
  await page.goto(url)
  return { page, complaints, asked, [Symbol.asyncDispose]: () => context.close() }
}

/** What axe finds serious or worse, one line each. The page's policy lets no script of others in, so axe comes beside it. */
export async function seriousFindings(page: Page): Promise<readonly string[]> {
  const source = await readFile(AXE, 'utf8')
  const client = await page.context().newCDPSession(page)
  await client.send('Page.setBypassCSP', { enabled: true })
  await client.send('Runtime.evaluate', { expression: source })
  const { result } = await client.send('Runtime.evaluate', {
    expression: `axe.run({ resultTypes: ['violations'] }).then(({ violations }) => violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .flatMap(({ id, nodes }) => nodes.map(({ target, failureSummary }) => id + ' ' + target + ' ' + failureSummary)))`,
    awaitPromise: true,
    returnByValue: true,
  })
  await client.detach()
  const { value } = result as { value?: unknown }
  expect(Array.isArray(value)).toBe(true)
  return value as readonly string[]
}
