/** One PostgreSQL for a whole run: made when the first test wants a database, ended with the run. */
import { rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { AddressInfo } from 'node:net'
import type { TestProject } from 'vitest/node'
import { type PostgresServer, startPostgres } from './postgres-server.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    /** Answers with the address of the server's databases, once it runs. */
    readonly postgres: string
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  let starting: Promise<PostgresServer> | undefined
  const folder = join(tmpdir(), `crossdock-postgres-${process.pid}`)
  const front = createServer((_, response) => {
    starting ??= startPostgres(folder)
    starting.then(
      (server) => response.end(server.url('')),
      (error: unknown) => response.writeHead(500).end(String(error)),
    )
  })
  project.provide('postgres', `http://127.0.0.1:${await portOf(front)}`)
  return async () => {
    front.close()
    front.closeAllConnections()
    await (await starting?.catch(() => undefined))?.[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function portOf(server: Server): Promise<number> {
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  server.unref()
  return (server.address() as AddressInfo).port
}
