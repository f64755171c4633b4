/** One PostgreSQL for a whole run: made when the first test wants a database, ended with the run. */
import { rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { onDemand } from './on-demand.ts'
import { startPostgres } from './postgres-server.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    /** Answers with the address of the server's databases, once it runs. */
    readonly postgres: string
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = join(tmpdir(), `crossdock-postgres-${process.pid}`)
  const server = await onDemand(
    () => startPostgres(folder),
    (one) => one.url(''),
  )
  project.provide('postgres', server.url)
  return async () => {
    await server[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true, force: true })
  }
}
