import { execFileSync } from 'node:child_process'
import { readdir } from 'node:fs/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { EXAMPLES } from '../../../src/cli/help.ts'
import { Workplace } from '../../helpers/command.ts'

let place: Workplace
beforeEach(async () => {
  place = await Workplace.create()
})
afterEach(() => place[Symbol.asyncDispose]())

/** Options that a command's help names. */
async function optionsOf(words: string): Promise<string[]> {
  const { code, out } = await place.run(...words.split(' '), '--help')
  expect(code).toBe(0)
  return out.match(/(?<=\s)--?[a-z][a-z-]*/g) ?? []
}

describe('help', () => {
  it('has examples for every command, and no option in them that there is not', async () => {
    const { out } = await place.run('--help')
    const [list = ''] = out.split('\nProfiles ')
    const names = [...list.matchAll(/^ {2}([a-z]+) /gm)].map(([, name]) => name ?? '')

    for (const name of names.filter((one) => one !== 'help')) {
      const words = Object.keys(EXAMPLES).filter((one) => one.split(' ')[0] === name)
      expect(words, name).not.toEqual([])
    }
    for (const [words, examples] of Object.entries(EXAMPLES)) {
      const options = await optionsOf(words)
      for (const example of examples) {
        const [, typed = ''] = /crossdock (.*)/.exec(example) ?? []
        expect(typed.startsWith(words), example).toBe(true)
        for (const option of typed.match(/(?<=\s)--?[a-z][a-z-]*/g) ?? []) {
          expect(options, example).toContain(option)
        }
      }
    }
  })

  it('names profiles, environment and documentation', async () => {
    const { out } = await place.run('--help')

    expect(out).toMatch(/zstdchunked/)
    expect(out).toMatch(/CROSSDOCK_CONFIG/)
    expect(out).toMatch(/docs\//)
    expect(out).toMatch(/man crossdock-export/)
    const [, table = ''] = /^Environment:\n((?: .*\n)+)/m.exec(out) ?? []
    const lines = table.trimEnd().split('\n')
    const columns = lines.map((line) => /^ {2}\S+(?: \S+)*? {2,}/.exec(line)?.[0].length)
    expect(table).toMatch(/NO_PROXY/)
    expect(new Set(columns).size).toBe(1)
  })

  it.each(['config', 'record'])('of the group %s has an example of each command', async (group) => {
    const { out } = await place.run(group, '--help')
    const commands = Object.keys(EXAMPLES).filter((words) => words.startsWith(`${group} `))

    expect(commands.length).toBeGreaterThan(2)
    for (const words of commands) expect(out).toContain(`\n  ${EXAMPLES[words]?.[0]}\n`)
    expect(out).toMatch(/documentation: crossdock --help\n/)
  })

  it.each([
    [['list', '--colour'], "unknown option '--colour'", 'list'],
    [['record', 'show'], "missing required argument 'ref'", 'record show'],
    [['list', '--data', 'nowhere'], 'there is no store', 'list'],
    [['config', 'client', 'rkt'], "argument value 'rkt' is invalid", 'config client'],
  ])('of its command is where a usage error points: %j', async (args, text, words) => {
    const { code, err } = await place.run(...args)

    expect(code).toBe(2)
    expect(err).toMatch(/^crossdock: /)
    expect(err).toContain(text)
    expect(err).toContain(`(crossdock ${words} --help says more)\n`)
  })
})

describe('completion', () => {
  it('knows commands, choices and options where they may stand, in bash', async () => {
    const { out } = await place.run('completion', 'bash')
    const complete = (...words: string[]) => {
      const line = words.map((word) => `'${word}'`).join(' ')
      const ask = `COMP_WORDS=(${line}); COMP_CWORD=${words.length - 1}; _crossdock; echo "\${COMPREPLY[@]}"`
      return execFileSync('bash', ['-c', `${out}\n${ask}`], { encoding: 'utf8' }).trim()
    }

    expect(complete('crossdock', 'ins')).toBe('inspect')
    expect(complete('crossdock', 'record', 'pu')).toBe('push')
    expect(complete('crossdock', 'config', 'client', 'cont')).toBe('containerd')
    expect(complete('crossdock', 'export', 'alpine:3', '--si')).toBe('--since')
    expect(complete('crossdock', '--data', '/x', 'li')).toBe('list')
  })

  it.each(['zsh', 'fish'])('speaks %s as well', async (shell) => {
    const { code, out } = await place.run('completion', shell)

    expect(code).toBe(0)
    for (const word of ['inspect', 'containerd', 'since']) expect(out).toContain(word)
  })

  it('touches nothing', async () => {
    await place.run('completion', 'bash')
    expect(await readdir(place.folder)).toEqual([])
  })
})
