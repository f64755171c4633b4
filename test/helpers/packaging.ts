/** What the tests of packages share: clean copies of the sources, the environment of a new user, and where the judges lie. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { describe } from 'vitest'
import { CACHE, program, ROOT } from './fixtures.ts'
import { mustRun } from './fixtures-command.ts'

/** What test/packaging-setup.sh builds; a program of that name in PATH is another one (`dash` is a shell). */
const BUILT = new Set(['helm', 'kubeconform', 'dash', 'actionlint'])
const JUDGES = join(CACHE, 'servers', 'bin')
/** Kubernetes' schemas, one file for each kind. */
export const SCHEMAS = join(CACHE, 'servers', 'run', 'schemas')

/** Copies all that git would commit into a new folder, as a clone has it. */
export async function cloneTo(folder: string): Promise<string> {
  await mkdir(folder, { recursive: true })
  const files = ['ls-files', '-z', '--cached', '--others', '--exclude-standard']
  const { stdout } = await mustRun('git', ['-C', ROOT, ...files])
  const present = stdout.split('\0').filter((name) => name !== '' && existsSync(join(ROOT, name)))
  const input = present.join('\0')
  const pack = spawn('tar', ['-C', ROOT, '--null', '-T', '-', '-c'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const unpack = spawn('tar', ['-C', folder, '-x'], { stdio: [pack.stdout, 'inherit', 'inherit'] })
  pack.stdin.end(input)
  const [code] = await once(unpack, 'exit')
  if (code !== 0) throw new Error(`the sources cannot be copied: tar ended with ${code}`)
  return folder
}

/** As somebody's shell has it, who never ran npm here: this run's Node and npm's variables are left out. */
export function userEnvironment(): Record<string, string | undefined> {
  const folders = (process.env.PATH ?? '').split(delimiter)
  const hidden = Object.keys(process.env).filter((name) =>
    /^(?:npm_|INIT_CWD$|NODE$|CI$|CROSSDOCK_|VITEST|NODE_OPTIONS$)/.test(name),
  )
  return {
    ...Object.fromEntries(hidden.map((name) => [name, undefined])),
    PATH: folders.filter((folder) => !folder.includes('node_modules')).join(delimiter),
  }
}

/** A suite that is skipped with a printed reason where its programs are absent, and that fails there when `CI` is set. */
export function describeWithPrograms(
  names: readonly string[],
  title: string,
  body: () => void,
): void {
  const missing = names.find((name) => !existsSync(findJudge(name)))
  if (missing === undefined) {
    describe(title, body)
    return
  }
  const reason = `${missing} is not there; run test/packaging-setup.sh`
  if (process.env.CI === 'true') throw new Error(`cannot run "${title}": ${reason}`)
  console.warn(`skipped "${title}": ${reason}`)
  describe.skip(title, body)
}

export function findJudge(name: string): string {
  return BUILT.has(name) ? join(JUDGES, name) : program(name)
}
