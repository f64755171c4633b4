/** The structure as a test: who may import whom, where each package is used, and how long a file may get. */
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { describe, expect, it } from 'vitest'

const SRC = join(import.meta.dirname, '../../src')

/** Folder (or file at the top) -> what it may import besides itself. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  'errors.ts': [],
  oci: ['errors.ts'],
  ports: ['lib', 'oci'],
  'outputs.ts': ['oci', 'ports'],
  'recorded.ts': ['lib', 'oci', 'ports'],
  'tracing.ts': ['lib'],
  'settings.ts': ['config', 'http', 'naming.ts', 'lib', 'oci'],
  'clock.ts': ['ports'],
  'naming.ts': ['errors.ts', 'lib', 'oci', 'ports', 'config'],
  lib: ['errors.ts'],
  tar: ['lib'],
  erofs: ['lib'],
  codec: ['errors.ts', 'lib'],
  format: ['errors.ts', 'lib', 'oci', 'tar', 'codec', 'erofs'],
  config: ['format', 'oci'],
  setup: ['config', 'oci'],
  access: ['errors.ts', 'lib', 'config'],
  store: ['errors.ts', 'lib', 'oci', 'ports', 'outputs.ts', 'recorded.ts'],
  upstream: ['errors.ts', 'lib', 'oci', 'ports'],
  pull: ['errors.ts', 'lib', 'oci', 'ports'],
  peers: ['lib', 'oci', 'ports', 'pull'],
  priorities: [
    ...['errors.ts', 'lib', 'oci', 'ports', 'pull'],
    ...['format', 'codec', 'tar', 'config'],
  ],
  convert: [
    ...['errors.ts', 'lib', 'oci', 'ports', 'outputs.ts', 'pull', 'priorities'],
    ...['format', 'codec', 'tar', 'config'],
  ],
  upkeep: [
    ...['errors.ts', 'lib', 'oci', 'ports', 'pull'],
    ...['codec', 'format', 'convert', 'config', 'priorities'],
  ],
  admin: [
    ...['errors.ts', 'lib', 'oci', 'ports', 'pull'],
    ...['convert', 'upkeep', 'config', 'format'],
  ],
  bundle: [
    ...['errors.ts', 'lib', 'oci', 'ports', 'recorded.ts', 'pull', 'codec', 'format'],
    ...['convert', 'config', 'priorities'],
  ],
  workers: ['errors.ts', 'lib', 'oci', 'ports', 'config', 'convert', 'admin'],
  http: [
    'errors.ts',
    'lib',
    'oci',
    'ports',
    'pull',
    'format',
    'convert',
    'config',
    'access',
    'setup',
    'admin',
    'naming.ts',
  ],
}

/** Only these know every concrete class. */
const COMPOSERS = new Set(['app.ts', 'cli', 'main.ts'])

/** So that each library can be replaced in one place; lru-cache is used like a Map. */
const PACKAGE_HOMES: Readonly<Record<string, string>> = {
  '@aws-sdk/client-s3': 'store',
  '@aws-sdk/s3-request-presigner': 'store',
  '@mongodb-js/zstd': 'codec',
  'better-sqlite3': 'store',
  '@hono/node-server': 'http',
  '@opentelemetry/api': 'tracing.ts',
  '@opentelemetry/sdk-node': 'tracing.ts',
  bcryptjs: 'access',
  commander: 'cli',
  hono: 'http',
  pg: 'store',
  pino: 'lib',
  'prom-client': 'lib',
  undici: 'upstream',
  yaml: 'config',
  zod: 'config',
}

/** Two things in one file show at about this length. */
const MAX_LINES = 350

const FILES = globSync('**/*.ts', { cwd: SRC }).map((path) => {
  const text = readFileSync(join(SRC, path), 'utf8')
  const imports = [...text.matchAll(/(?:from|import) ?\(?'([^']+)'/g)].map(
    (match) => match[1] ?? '',
  )
  return { path, home: homeOf(path), text, imports }
})

function homeOf(path: string): string {
  return path.split('/')[0] ?? path
}

function isOwn(one: string): boolean {
  return one.startsWith('.')
}

function from(path: string): (one: string) => string {
  return (one) => normalize(join(dirname(path), one))
}

/** The first way that comes back to where it was. */
function circleIn(arrows: ReadonlyMap<string, Iterable<string>>): readonly string[] {
  const done = new Set<string>()
  const follow = (at: string, way: readonly string[]): readonly string[] => {
    const seen = way.indexOf(at)
    if (seen >= 0) return [...way.slice(seen), at]
    if (done.has(at)) return []
    for (const next of arrows.get(at) ?? []) {
      const circle = follow(next, [...way, at])
      if (circle.length > 0) return circle
    }
    done.add(at)
    return []
  }
  return [...arrows.keys()].map((at) => follow(at, [])).find(({ length }) => length > 0) ?? []
}

describe('the source', () => {
  it('imports along the arrows of docs/architecture.md only', () => {
    const wrong = FILES.filter(({ home }) => !COMPOSERS.has(home)).flatMap(
      ({ path, home, imports }) =>
        imports
          .filter(isOwn)
          .map((one) => homeOf(from(path)(one)))
          .filter((to) => to !== home && !MAY_IMPORT[home]?.includes(to))
          .map((to) => `${path} -> ${to}`),
    )

    expect(wrong).toEqual([])
  })

  it('has no circle of imports, neither of files nor of folders', () => {
    const files = new Map(
      FILES.map(({ path, imports }) => [path, new Set(imports.filter(isOwn).map(from(path)))]),
    )
    const folders = new Map<string, Set<string>>()
    for (const [path, targets] of files) {
      const home = homeOf(path)
      const known = folders.get(home) ?? new Set()
      for (const target of targets) if (homeOf(target) !== home) known.add(homeOf(target))
      folders.set(home, known)
    }

    expect(circleIn(files)).toEqual([])
    expect(circleIn(folders)).toEqual([])
    expect(
      circleIn(
        new Map([
          ['a', ['b']],
          ['b', ['c']],
          ['c', ['b']],
        ]),
      ),
    ).toEqual(['b', 'c', 'b'])
  })

  it('has every folder and every file beside them in docs/architecture.md', () => {
    const text = readFileSync(join(SRC, '../docs/architecture.md'), 'utf8')
    const homes = [...new Set(FILES.map(({ home }) => home))]
    const names = homes.map((home) => (home.endsWith('.ts') ? `\`${home}\`` : `\`${home}/\``))

    expect(names.filter((name) => !text.includes(name))).toEqual([])
  })

  it('uses each package in one folder', () => {
    const wrong = FILES.flatMap(({ path, home, imports }) =>
      imports
        .map((one) => /^(?:@[^/]+\/)?[^./@][^/]*/.exec(one)?.[0] ?? '')
        .filter((name) => PACKAGE_HOMES[name] !== undefined && PACKAGE_HOMES[name] !== home)
        .map((name) => `${path} -> ${name}`),
    )

    expect(wrong).toEqual([])
  })

  it('writes headers, log and terminal at their sinks alone, which make texts of others harmless', () => {
    const outside = (what: RegExp, sinks: readonly string[]) =>
      FILES.filter(({ path, text }) => what.test(text) && !sinks.includes(path))

    // What processes of one store tell each other is numbers and proofs.
    const heads = ['http/exchange.ts', 'peers/listener.ts']
    expect(outside(/\.writeHead\(|\.setHeader\(/, heads)).toEqual([])
    expect(outside(/\bstd(?:out|err)\.write\(/, ['cli/system.ts', 'main.ts'])).toEqual([])
    expect(outside(/\bconsole\./, [])).toEqual([])
    expect(outside(/\bpino\(/, ['lib/log.ts'])).toEqual([])
  })

  it('has no long files, no default exports and opens each with what it is for', () => {
    const wrong = FILES.filter(
      ({ text }) =>
        text.split('\n').length > MAX_LINES ||
        /^export default/m.test(text) ||
        !/^(?:#!.*\n)?\/\*\*/.test(text),
    )

    expect(wrong.map(({ path }) => path).filter((path) => !path.endsWith('.d.ts'))).toEqual([])
  })

  it('keeps no state beside its objects, so that several servers get along in one process', () => {
    const isState = /^(?:export )?(?:(?:let|var) |const \w+(?:: \w+\[\])? = \[\]$)/m

    expect(FILES.filter(({ text }) => isState.test(text)).map(({ path }) => path)).toEqual([])
  })

  it('is read at all', () => {
    expect(FILES.length).toBeGreaterThan(100)
    expect(FILES.flatMap(({ imports }) => imports)).toContain('hono')
  })
})
