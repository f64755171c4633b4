/** A real Prometheus that scrapes one crossdock, and the queries of the board and the alerts. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parse } from 'yaml'
import { program, ROOT } from './fixtures.ts'

export const ALERTS = join(ROOT, 'deploy/prometheus/alerts.yaml')
export const BOARD = join(ROOT, 'deploy/grafana/crossdock.json')

interface Panel {
  readonly title: string
  readonly targets?: readonly { readonly expr: string }[]
}

interface Rules {
  readonly groups: readonly {
    readonly rules: readonly { readonly alert: string; readonly expr: string }[]
  }[]
}

/** What a panel or an alert asks, by its title. */
export interface Query {
  readonly title: string
  readonly expr: string
}

export async function boardQueries(): Promise<readonly Query[]> {
  const { panels } = JSON.parse(await readFile(BOARD, 'utf8')) as { panels: readonly Panel[] }
  return panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ title, expr })))
}

export async function alertQueries(): Promise<readonly Query[]> {
  const { groups } = parse(await readFile(ALERTS, 'utf8')) as Rules
  return groups.flatMap(({ rules }) => rules.map(({ alert, expr }) => ({ title: alert, expr })))
}

export class Prometheus implements AsyncDisposable {
  readonly #process: ChildProcess
  readonly #folder: string
  readonly #url: string

  private constructor(process: ChildProcess, folder: string, url: string) {
    this.#process = process
    this.#folder = folder
    this.#url = url
  }

  /** Scrapes `target` (`HOST:PORT`) every second, and asks the alerts' rules as often. */
  static async start(target: string): Promise<Prometheus> {
    const folder = await mkdtemp(join(tmpdir(), 'crossdock-prometheus-'))
    const config = {
      global: { scrape_interval: '1s', evaluation_interval: '1s' },
      rule_files: [ALERTS],
      scrape_configs: [{ job_name: 'crossdock', static_configs: [{ targets: [target] }] }],
    }
    // JSON is YAML.
    await writeFile(join(folder, 'prometheus.yml'), JSON.stringify(config))
    const address = `127.0.0.1:${await freePort()}`
    const flags = [
      `--config.file=${join(folder, 'prometheus.yml')}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=${address}`,
    ]
    const child = spawn(program('prometheus'), flags, { stdio: ['ignore', 'ignore', 'pipe'] })
    let said = ''
    child.stderr.setEncoding('utf8')
    for await (const text of child.stderr.iterator({ destroyOnReturn: false })) {
      said += text
      if (said.includes('Server is ready to receive web requests')) {
        child.stderr.resume()
        return new Prometheus(child, folder, `http://${address}/api/v1`)
      }
    }
    throw new Error(`prometheus ended: ${said}`)
  }

  /** The series of an instant query; throws when it is none. */
  async query(
    expr: string,
  ): Promise<readonly { metric: Record<string, string>; value: unknown }[]> {
    const answer = await fetch(`${this.#url}/query`, {
      method: 'POST',
      body: new URLSearchParams({ query: expr }),
    })
    const { status, data, error } = (await answer.json()) as {
      status: string
      data: { result: [] }
      error: string
    }
    if (status !== 'success') throw new Error(`${expr}: ${error}`)
    return data.result
  }

  /** `inactive`, `pending` or `firing`, by alert; throws when one cannot be computed. */
  async alerts(): Promise<Readonly<Record<string, string>>> {
    const { data } = (await (await fetch(`${this.#url}/rules`)).json()) as {
      data: { groups: { rules: { name: string; state: string; lastError?: string }[] }[] }
    }
    const rules = data.groups.flatMap((group) => group.rules)
    const broken = rules.find(({ lastError }) => lastError)
    if (broken !== undefined) throw new Error(`${broken.name}: ${broken.lastError}`)
    return Object.fromEntries(rules.map(({ name, state }) => [name, state]))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#process, 'exit')
    this.#process.kill('SIGTERM')
    await ended
    await rm(this.#folder, { recursive: true, force: true })
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' && address !== null ? address.port : 0
}
