import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { allCommands, EXAMPLES } from '../../../src/cli/help.ts'
import { manPages } from '../../../src/cli/man.ts'
import { createProgram } from '../../../src/cli/program.ts'
import { systemSurroundings } from '../../../src/cli/system.ts'

const program = createProgram(systemSurroundings(process))
const PAGES = manPages(program, '1.2.3')

describe('the manual', () => {
  it('has a page for each command, and the package names all of them', () => {
    const { man } = JSON.parse(
      readFileSync(join(import.meta.dirname, '../../../package.json'), 'utf8'),
    )
    const files = PAGES.map(({ file }) => `dist/man/${file}`).toSorted()

    expect(PAGES).toHaveLength(allCommands(program).length + 1)
    expect([...man].sort()).toEqual(files)
  })

  it('names every option, argument and example that --help names', () => {
    for (const [i, command] of [program, ...allCommands(program)].entries()) {
      const text = PAGES[i]?.text.replaceAll('\\-', '-') ?? ''
      for (const { flags } of command.options) expect(text).toContain(flags)
      for (const argument of command.registeredArguments) expect(text).toContain(argument.name())
    }
    const all = PAGES.map(({ text }) => text.replaceAll('\\-', '-')).join('\n')
    for (const example of Object.values(EXAMPLES).flat()) expect(all).toContain(example)
  })

  const groff = spawnSync('groff', ['--version']).status === 0

  it.skipIf(!groff)('gives groff nothing to warn of', () => {
    const input = PAGES.map(({ text }) => text).join('\n')

    const { stderr, status } = spawnSync('groff', ['-man', '-Tutf8', '-ww', '-z'], { input })

    expect([status, String(stderr)]).toEqual([0, ''])
  })
})
