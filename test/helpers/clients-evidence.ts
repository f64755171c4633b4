/** What crossdock's access log proves about a pull: the client itself fetched these blobs, whole, from this server. */
import { expect, vi } from 'vitest'
import { type ClientName, getClient } from './clients.ts'
import type { Crossdock } from './crossdock-process.ts'
import type { ManifestAnswer } from './fixtures-registry.ts'

/** Not expect.poll, which belongs to one test at a time. */
const WAIT = { timeout: 5000, interval: 50 }

/** Marks a moment in the log. */
export function markLog(crossdock: Crossdock): number {
  return crossdock.requests().length
}

/** Waits for the log to show that since `mark` the client got every blob of the image. */
export async function expectFetched(
  crossdock: Crossdock,
  mark: number,
  client: ClientName,
  image: ManifestAnswer,
): Promise<void> {
  const { config, layers = [] } = image.document
  const wanted = [...(config ? [config] : []), ...layers].map((one) => one.digest)
  const { userAgent } = getClient(client)
  // A line is written when the connection has taken the whole answer, which may be after the client ended.
  await vi.waitFor(() => {
    const fetched = crossdock
      .requests()
      .slice(mark)
      .filter((line) => line.method === 'GET' && line.route === 'blob' && line.status < 300)
      .filter((line) => userAgent.test(line.userAgent ?? '') && line.cut === undefined)
      .map((line) => line.path.slice(line.path.lastIndexOf('/') + 1))
    expect(wanted.filter((digest) => !fetched.includes(digest))).toEqual([])
  }, WAIT)
}
