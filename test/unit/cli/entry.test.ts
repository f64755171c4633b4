/** `bin/crossdock`, with programs called node that only say who they are. */
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { program } from '../../helpers/fixtures.ts'
import { runCommand } from '../../helpers/fixtures-command.ts'

const ENTRY = join(import.meta.dirname, '../../../bin/crossdock')

let place: string
beforeEach(async () => {
  place = await mkdtemp(join(tmpdir(), 'crossdock-entry-'))
  // Where they usually lie there is a Node as well.
  await mkdir(join(place, 'tools'))
  for (const tool of ['dirname', 'readlink', 'head']) {
    await symlink(program(tool), join(place, 'tools', tool))
  }
})
afterEach(() => rm(place, { recursive: true, force: true }))

/** A folder with a `bin/crossdock` and a main file. */
async function install(home: string, main: string): Promise<void> {
  await cp(ENTRY, join(place, home, 'bin/crossdock'), { recursive: true })
  await write(join(home, main), '')
}

async function write(path: string, text: string): Promise<void> {
  await mkdir(join(place, path, '..'), { recursive: true })
  await writeFile(join(place, path), text, { mode: 0o755 })
}

/** A node that says its name and arguments, and ends with 3. */
function node(path: string, version: string): Promise<void> {
  return write(
    path,
    `#!/bin/sh\n[ "$1" = -v ] && echo ${version} && exit 0\necho "${path}" "$@"\nexit 3\n`,
  )
}

function run(entry: string, ...args: readonly string[]) {
  return runCommand(join(place, entry), args, { env: { PATH: `${place}/path:${place}/tools` } })
}

describe('the command', () => {
  it("takes the Node that npm brought into a clone before PATH's", async () => {
    await install('clone', 'src/main.ts')
    await node('clone/node_modules/node/bin/node', 'v26.1.0')
    await node('path/node', 'v24.0.0')

    const { status, stdout } = await run('clone/bin/crossdock', 'stage', 'a b')

    expect(stdout).toBe(`clone/node_modules/node/bin/node ${place}/clone/src/main.ts stage a b\n`)
    expect(status).toBe(3)
  })

  it('of an installed package runs what was built, also through a link', async () => {
    await install('lib/node_modules/crossdock', 'dist/main.js')
    await node('lib/node_modules/node/bin/node', 'v26.1.0')
    await mkdir(join(place, 'bin'))
    await symlink('../lib/node_modules/crossdock/bin/crossdock', join(place, 'bin/crossdock'))

    const { stdout } = await run('bin/crossdock', 'list')

    const main = `${place}/lib/node_modules/crossdock/dist/main.js`
    expect(stdout).toBe(`lib/node_modules/node/bin/node ${main} list\n`)
  })

  it('takes a folder that only lies beside a clone for no package', async () => {
    await install('work/clone', 'src/main.ts')
    await node('work/node/bin/node', 'v26.1.0')
    await node('path/node', 'v24.3.0')

    expect((await run('work/clone/bin/crossdock')).stdout).toContain('path/node ')
  })

  it("takes PATH's when the brought one cannot run here", async () => {
    await install('clone', 'src/main.ts')
    await write('clone/node_modules/node/bin/node', '#!/no/such/loader\n')
    await node('path/node', 'v24.3.0')

    expect((await run('clone/bin/crossdock')).stdout).toContain('path/node ')
  })

  it('passes a broken one in PATH, as npm puts it there, and an old one', async () => {
    await install('clone', 'src/main.ts')
    await write('path/node', '#!/no/such/loader\n')
    await node('second/node', 'v20.1.0')
    await node('third/node', 'v24.0.0')

    const path = ['path', 'second', 'third'].map((name) => join(place, name)).join(':')
    const { stdout } = await runCommand(join(place, 'clone/bin/crossdock'), ['a b'], {
      env: { PATH: `${path}:${place}/tools` },
    })

    expect(stdout).toBe(`third/node ${place}/clone/src/main.ts a b\n`)
  })

  it('says which library the brought one misses when there is no other', async () => {
    await install('clone', 'src/main.ts')
    const said = 'node: error while loading shared libraries: libatomic.so.1: cannot open'
    await write('clone/node_modules/node/bin/node', `#!/bin/sh\necho "${said}" >&2\nexit 127\n`)
    await node('path/node', 'v18.20.4')

    expect((await run('clone/bin/crossdock')).stderr).toBe(
      `crossdock: needs Node 24 or newer, and v18.20.4 is in PATH; the one that npm brought does not run here: ${said} (Debian and Ubuntu: apt-get install libatomic1)\n`,
    )
  })

  it.each([
    ['v20.20.2', 'v20.20.2 is in PATH'],
    ['v9.11.2', 'v9.11.2 is in PATH'],
    ['', 'none is in PATH'],
  ])('says in one sentence what is needed in place of Node "%s"', async (version, told) => {
    await install('clone', 'src/main.ts')
    await node('path/node', version)

    const { status, stdout, stderr } = await run('clone/bin/crossdock')

    expect(stderr).toMatch(/^crossdock: needs Node 24 or newer, and .*\n$/)
    expect(stderr).toContain(told)
    expect([status, stdout]).toEqual([2, ''])
  })
})
