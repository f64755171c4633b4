import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { open } from 'node:fs/promises'
import { Agent, get } from 'node:http'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Workplace } from '../../helpers/command.ts'

const MAIN = join(import.meta.dirname, '../../../src/main.ts')

let place: Workplace
beforeEach(async () => {
  place = await Workplace.create()
  await place.write('crossdock.yaml', 'listen: [{ address: 127.0.0.1:0 }]\nadmin: off\n')
})
afterEach(() => place[Symbol.asyncDispose]())

/** The program as a process of its own, with the environment that this machine's programs have, ours left out. */
function start(
  args: readonly string[],
  execArgs: readonly string[] = [],
  stdout: 'pipe' | number = 'pipe',
) {
  const { UV_THREADPOOL_SIZE: _mine, ...env } = process.env
  const child = spawn(process.execPath, [...execArgs, MAIN, ...args], {
    cwd: place.folder,
    env: { ...env, HOME: place.folder },
    stdio: ['ignore', stdout, 'pipe'],
  }) as ChildProcessByStdio<null, Readable, Readable>
  let out = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    out += text
  })
  const exited = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>
  const said = (pattern: RegExp) =>
    new Promise<string>((resolve, reject) => {
      const look = () => {
        const found = pattern.exec(out)?.[1]
        if (found !== undefined) resolve(found)
      }
      child.stdout.on('data', look)
      void exited.then(() => reject(new Error(`ended without saying ${pattern}`)))
    })
  return { child, exited, said, output: () => out }
}

describe('the process', () => {
  it('ends with the exit code of the command', async () => {
    expect((await start(['--version']).exited)[0]).toBe(0)
    expect((await start(['nonsense']).exited)[0]).toBe(2)
  })

  it('ends when its reader has taken all of a long output, or has left', async () => {
    const rules = Array.from({ length: 8_000 }, (_, i) => ({
      match: `docker.io/team/app-${i}`,
      profile: 'zstd',
    }))
    await place.write('crossdock.yaml', JSON.stringify({ rules }))
    const { exited, output } = start(['config', 'show', '--json'])
    expect(await exited).toEqual([0, null])
    expect(output().length).toBeGreaterThan(512 * 1024)
    expect(JSON.parse(output())).toMatchObject({ rules })

    const left = start(['config', 'show', '--json'])
    left.child.stdout.once('data', () => left.child.stdout.destroy())
    expect(await left.exited).toEqual([0, null])
  })

  it('says that its output cannot be written, and fails', async () => {
    await using full = await open('/dev/full', 'w')
    const { child, exited } = start(['config', 'schema'], [], full.fd)
    let err = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      err += text
    })
    expect(await exited).toEqual([1, null])
    expect(err).toBe(
      'crossdock: cannot write to standard output: ENOSPC: no space left on device, write\n',
    )
  })

  it('waits for the next try of an upstream that refuses, and then says so', async () => {
    await place.write(
      'crossdock.yaml',
      // Port 1 of this machine refuses.
      'upstreams: { dead: { url: "http://127.0.0.1:1" } }\ndefaultUpstream: dead\nlimits: { retries: 1 }\n',
    )
    const command = start(['inspect', 'dead/x:1'])
    let err = ''
    command.child.stderr.setEncoding('utf8').on('data', (text: string) => {
      err += text
    })

    expect((await command.exited)[0]).toBe(1)
    expect(err).toContain('cannot talk to 127.0.0.1:1')
  })

  it.each(['SIGTERM', 'SIGINT'] as const)(
    'drains on %s and ends with 0, idle connections or not',
    async (signal) => {
      const server = start([])
      const url = await server.said(/serves on (\S+)/)
      const agent = new Agent({ keepAlive: true })
      const [answer] = await once(get(`${url}/v2/`, { agent }), 'response')
      answer.resume()
      await once(answer, 'end')

      server.child.kill(signal)

      expect(await server.exited).toEqual([0, null])
      agent.destroy()
    },
  )

  it.each([
    ['a server ends with 0', [], [0, null]],
    ['any other command as any program does', ['list'], [null, 'SIGTERM']],
  ] as const)('keeps a signal that comes while it is loaded: %s', async (_, args, ending) => {
    const early = await place.write(
      'early.mjs',
      'process.on("newListener", (name) => { if (name === "SIGTERM" && !globalThis.sent) { globalThis.sent = true; setImmediate(() => process.kill(process.pid, "SIGTERM")) } })',
    )
    const { exited } = start([...args], ['--import', `file://${early}`])

    expect(await exited).toEqual(ending)
  })

  it('gives compression two threads more than there are processors, before any of them starts', async () => {
    const probe = await place.write(
      'probe.mjs',
      'process.on("exit", () => console.log("threads=" + process.env.UV_THREADPOOL_SIZE))',
    )
    const { exited, output } = start(['--version'], ['--import', `file://${probe}`])
    await exited

    expect(output()).toContain(`threads=${availableParallelism() + 2}`)
  })
})
