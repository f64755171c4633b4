/** The end of a process whose readers are slow, or take nothing any more. */
import { EventEmitter } from 'node:events'
import { Writable } from 'node:stream'
import { expect, test } from 'vitest'
import { systemSurroundings } from '../../../src/cli/system.ts'

/** A pipe that is full until somebody reads. */
class FullPipe extends Writable {
  #read: (error?: Error) => void = () => undefined

  override _write(_chunk: Uint8Array, _encoding: string, done: (error?: Error) => void): void {
    this.#read = done
  }

  read(error?: Error): void {
    this.#read(error)
  }
}

/** What `systemSurroundings` needs of a process; `exit` is noted. */
function fakeProcess() {
  const stdout = new FullPipe()
  const stderr = new Writable({ write: (_chunk, _encoding, done) => done() })
  const exits: number[] = []
  const exit = (code: number) => exits.push(code)
  const execs: unknown[] = []
  const execve = (...[path, args]: unknown[]) => void execs.push([path, args])
  const more = { env: {}, cwd: () => '/', exit, execve, execPath: '/node' }
  const from = Object.assign(new EventEmitter(), { stdout, stderr, ...more })
  return { stdout, exits, execs, system: systemSurroundings(from as unknown as NodeJS.Process) }
}

test('a command ends when its output has been read, with its own code', async () => {
  const { stdout, exits, system } = fakeProcess()
  system.output.out('much')
  const ended = system.end(1)
  await new Promise(setImmediate)
  expect(exits).toEqual([])

  stdout.read()
  await new Promise(setImmediate)
  stdout.read()
  await ended
  expect(exits).toEqual([1])
})

test('a command whose reader leaves in the end still fails when it failed', async () => {
  const { stdout, exits, system } = fakeProcess()
  system.output.out('much')
  const ended = system.end(1)
  stdout.read(Object.assign(new Error('broken pipe'), { code: 'EPIPE' }))
  await ended
  expect(exits).toEqual([1])
})

test('a server ends although nobody reads what it has written', async () => {
  const { exits, system } = fakeProcess()
  system.signals()
  system.output.out('much')
  await system.end(0)
  expect(exits).toEqual([0])
})

test('a server that left work in its threads becomes another program instead of waiting for it', async () => {
  const { exits, execs, system } = fakeProcess()
  system.signals().abandon()
  await system.end(0)
  expect(execs).toEqual([['/node', ['/node', '-e', 'process.exit(0)']]])
  expect(exits).toEqual([0])
})
