/** `bin/tracing.mjs`, which everything inherits that is started with NODE_OPTIONS. */
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { runCommand } from '../../helpers/fixtures-command.ts'

const ENTRY = join(import.meta.dirname, '../../../bin/tracing.mjs')

let place: string
beforeEach(async () => {
  place = await mkdtemp(join(tmpdir(), 'crossdock-tracing-'))
  await cp(ENTRY, join(place, 'bin/tracing.mjs'))
  await mkdir(join(place, 'src'))
  await write('src/main.ts', 'console.log("main")')
  await write('src/tracing.ts', 'console.log("traced")')
  await write('other.mjs', 'console.log("other")')
})
afterEach(() => rm(place, { recursive: true, force: true }))

function write(name: string, text: string): Promise<void> {
  return writeFile(join(place, name), text)
}

function run(main: string) {
  const env = { NODE_OPTIONS: `--import=${join(place, 'bin/tracing.mjs')}` }
  return runCommand(process.execPath, [join(place, main)], { env })
}

describe('tracing', () => {
  it('is loaded before the program', async () => {
    expect((await run('src/main.ts')).stdout).toBe('traced\nmain\n')
  })

  it('leaves alone whatever else inherits the option, such as npm', async () => {
    expect(await run('other.mjs')).toMatchObject({ status: 0, stdout: 'other\n', stderr: '' })
  })

  it('says in one sentence which package it misses', async () => {
    await write('src/tracing.ts', 'import "@opentelemetry/sdk-node"')

    const { status, stdout, stderr } = await run('src/main.ts')

    expect([status, stdout]).toEqual([2, ''])
    expect(stderr).toMatch(/^crossdock: cannot trace: .*@opentelemetry\/sdk-node.*npm install.*\n$/)
  })
})
