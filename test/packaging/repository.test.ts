/** What nobody runs before it is needed: workflows and what they and documents name. */
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { ROOT } from '../helpers/fixtures.ts'
import { runCommand } from '../helpers/fixtures-command.ts'
import { describeWithPrograms, findJudge } from '../helpers/packaging.ts'

const WORKFLOWS = globSync('.github/workflows/*.yaml', { cwd: ROOT })
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')

test.each(WORKFLOWS)(
  '%s names actions by commit, and gives them no more rights than they need',
  (path) => {
    const { permissions } = parse(read(path)) as { permissions: unknown }
    const actions = [...read(path).matchAll(/uses: (\S+)/g)].map(([, name = '']) => name)

    expect(permissions).toEqual({ contents: 'read' })
    expect(actions.filter((name) => !/^\.\/|@[0-9a-f]{40}$/.test(name))).toEqual([])
  },
)

test('scripts of package.json that documents and workflows name are there', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
  const texts = [...globSync('{*.md,docs/*.md,.ci/run}', { cwd: ROOT }), ...WORKFLOWS].map(read)
  const named = texts.flatMap((text) =>
    [...text.matchAll(/npm run (?:--silent )?([a-z:]+)/g)].map(([, name = '']) => name),
  )

  expect([...new Set(named)].filter((name) => scripts[name] === undefined)).toEqual([])
})

test('files that documents link to are there', () => {
  const broken = globSync('{*.md,docs/**/*.md}', { cwd: ROOT }).flatMap((path) =>
    [...read(path).matchAll(/\]\(([^)#:\s]+)(?:#[^)]*)?\)/g)]
      .map(([, target = '']) => join(dirname(path), target))
      .filter((target) => !existsSync(join(ROOT, target)))
      .map((target) => `${path} -> ${target}`),
  )

  expect(broken).toEqual([])
})

describeWithPrograms(['actionlint'], 'the workflows', () => {
  test('are what the service that runs them takes', async () => {
    const files = WORKFLOWS.map((path) => join(ROOT, path))
    const { stdout, status } = await runCommand(findJudge('actionlint'), files)

    expect([stdout, status]).toEqual(['', 0])
  })
})
