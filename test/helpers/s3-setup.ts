/** One S3 for a whole run. */
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { onDemand } from './on-demand.ts'
import { startS3ForRun } from './s3-server.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    /** Answers with the URL of the server, once it runs. */
    readonly s3: string
    /** Where it keeps buckets as folders. */
    readonly s3Folder: string
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = join(tmpdir(), `crossdock-s3-${process.pid}`)
  const server = await onDemand(
    () => startS3ForRun(folder),
    (one) => one.url,
  )
  project.provide('s3', server.url)
  project.provide('s3Folder', folder)
  return async () => await server[Symbol.asyncDispose]()
}
