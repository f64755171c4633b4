/** A store in a data folder that `crossdock migrate` moves onto PostgreSQL and S3, killed where a test wants it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { S3Place } from '../../src/store/s3/place.ts'
import type { FakeRegistry } from './fake-registry.ts'
import { ROOT } from './fixtures.ts'
import { type CommandResult, runCommand } from './fixtures-command.ts'
import { type PostgresServer, startPostgres } from './postgres-server.ts'
import { S3_CREDENTIALS } from './s3-server.ts'
import { blobsText, freshPlace } from './s3-store.ts'
import { S3Wire } from './s3-wire.ts'

/** Kinds of writes to S3 that a migration consists of, as parts of their addresses. */
export const STEPS = [
  '/migration.json',
  '/blobs/',
  'partNumber',
  '/sidecars/',
  '/proofs/',
  '/pins.json',
] as const

export class Migration implements AsyncDisposable {
  readonly origin: FakeRegistry
  readonly postgres: PostgresServer
  /** The way to S3 of commands and of the new server. */
  readonly wire: S3Wire
  readonly place: S3Place
  readonly folder: string
  /** Data folder of the old store. */
  from = ''

  private constructor(parts: Pick<Migration, 'origin' | 'postgres' | 'wire' | 'place' | 'folder'>) {
    this.origin = parts.origin
    this.postgres = parts.postgres
    this.wire = parts.wire
    this.place = parts.place
    this.folder = parts.folder
  }

  static async open(origin: FakeRegistry): Promise<Migration> {
    const folder = await mkdtemp(join(tmpdir(), 'crossdock-migrate-'))
    const cluster = await mkdtemp(join(tmpdir(), 'crossdock-migrate-pg-'))
    await rm(cluster, { recursive: true })
    const postgres = await startPostgres(cluster)
    const direct = await freshPlace()
    const wire = await S3Wire.start(direct.endpoint ?? '')
    const place = { ...direct, endpoint: wire.url }
    return new Migration({ origin, postgres, wire, place, folder })
  }

  /** `store` of a configuration. */
  storeAt(where: S3Place) {
    return { blobs: blobsText(where), catalog: this.postgres.url('postgres') }
  }

  /** Arguments of Node.js for a command on the old store. */
  async command(words: readonly string[], where = this.place, data = this.from) {
    const [own, other] = [join(this.folder, 'own.yaml'), join(this.folder, 'store.yaml')]
    const upstreams = { origin: { url: this.origin.url } }
    const common = { upstreams, defaultUpstream: 'origin', log: { level: 'warn' } }
    await writeFile(own, JSON.stringify({ ...common, data }))
    const store = this.storeAt(where)
    await writeFile(other, JSON.stringify({ ...common, data: join(this.folder, 'new'), store }))
    const [name = '', ...more] = words
    const to = name === 'migrate' ? ['--to', other] : []
    return [join(ROOT, 'src/main.ts'), name, '--config', own, ...to, ...more]
  }

  async run(...words: readonly string[]): Promise<CommandResult> {
    return await runCommand(process.execPath, await this.command(words), { env: S3_CREDENTIALS })
  }

  /** Dies when S3 is asked to write so; false: it ended before. */
  async runUntil(step: string): Promise<boolean> {
    const child = await this.#start('ignore')
    this.wire.fault = ({ method, path, query }) => {
      if (method !== 'PUT' || !`${path}?${query}`.includes(step)) return undefined
      child.kill('SIGKILL')
      return { kind: 'reset' }
    }
    const [, signal] = await once(child, 'exit')
    this.wire.fault = () => undefined
    return signal === 'SIGKILL'
  }

  /** Dies when all is copied, and some of it read again. */
  async killWhileItMakesTheCatalog(): Promise<boolean> {
    const child = await this.#start('pipe')
    let said = ''
    child.stderr?.on('data', (chunk) => (said += String(chunk)))
    this.wire.fault = ({ method, path }) => {
      const isMaking = said.includes('making the catalog')
      if (!isMaking || method !== 'GET' || !path.includes('/sidecars/')) return undefined
      child.kill('SIGKILL')
      return { kind: 'reset' }
    }
    const [, signal] = await once(child, 'exit')
    this.wire.fault = () => undefined
    return signal === 'SIGKILL'
  }

  async #start(stderr: 'ignore' | 'pipe') {
    return spawn(process.execPath, await this.command(['migrate']), {
      env: { ...process.env, ...S3_CREDENTIALS },
      stdio: ['ignore', 'ignore', stderr],
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.wire[Symbol.asyncDispose]()
    await this.postgres[Symbol.asyncDispose]()
    await rm(this.folder, { recursive: true, force: true })
  }
}
