/**
 * Machines of a network of their own: each is a network namespace with an address, joined by a bridge in one more. What is cut between
 * two of them is dropped by the kernel without a word: nothing arrives, nothing is refused. Sockets with a path lead in and out.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { program } from './fixtures.ts'
import { mustRun } from './fixtures-command.ts'
import { listening, passOn } from './slow-line.ts'

/** What is not there to make one, or `undefined`. */
export const WITHOUT_NETWORK: string | undefined = [
  'unshare',
  'nsenter',
  'ip',
  'iptables',
  'tc',
  'curl',
]
  .map(program)
  .concat(process.getuid?.() === 0 ? [] : ['/root, as a user with rights'])
  .find((path) => !existsSync(path))

export interface Machine {
  readonly address: string
  /** In front of a program and its arguments runs it there. */
  readonly command: readonly string[]
}

/** A namespace that lasts as long as its process. */
interface Held extends AsyncDisposable {
  readonly pid: number
}

const BRIDGE = 'bridge'
const SUBNET = '10.77.0'

export class Network implements AsyncDisposable {
  readonly #owned: AsyncDisposableStack
  readonly #hub: Held
  readonly #folder: string
  readonly #pids = new Map<Machine, number>()
  #sockets = 0

  private constructor(owned: AsyncDisposableStack, hub: Held, folder: string) {
    this.#owned = owned
    this.#hub = hub
    this.#folder = folder
  }

  static async open(): Promise<Network> {
    await using opening = new AsyncDisposableStack()
    const folder = await mkdtemp(join(tmpdir(), 'crossdock-network-'))
    opening.defer(() => rm(folder, { recursive: true, force: true }))
    const hub = opening.use(await holdNamespace())
    await inside(hub.pid, 'ip', 'link', 'add', BRIDGE, 'type', 'bridge')
    await inside(hub.pid, 'ip', 'link', 'set', BRIDGE, 'up')
    return new Network(opening.move(), hub, folder)
  }

  /** One more. */
  async machine(): Promise<Machine> {
    const { pid } = this.#owned.use(await holdNamespace())
    const number = this.#pids.size + 1
    const machine: Machine = {
      address: `${SUBNET}.${number}`,
      command: enter(pid),
    }
    this.#pids.set(machine, pid)
    const port = portOf(machine)
    const peer = ['peer', 'name', 'eth0', 'netns', String(pid)]
    await inside(this.#hub.pid, 'ip', 'link', 'add', 'name', port, 'type', 'veth', ...peer)
    await inside(this.#hub.pid, 'ip', 'link', 'set', port, 'master', BRIDGE, 'up')
    await inside(pid, 'ip', 'address', 'add', `${machine.address}/24`, 'dev', 'eth0')
    await inside(pid, 'ip', 'link', 'set', 'eth0', 'up')
    return machine
  }

  /** What listens on this machine's loopback is to be had at a machine's address as well, at the same port. */
  async offer(machine: Machine, port: number): Promise<void> {
    const path = this.#socket()
    await listening(this.#own(passOn(() => connect(port, '127.0.0.1'))), path)
    await this.#gate(machine, `${machine.address}:${port}`, path)
  }

  /** A port of this machine's loopback that leads to `HOST:PORT` as `from` reaches it. */
  async lead(from: Machine, to: string): Promise<number> {
    const path = this.#socket()
    await this.#gate(from, path, to)
    const near = this.#own(passOn(() => connect(path)))
    await listening(near, 0)
    const address = near.address()
    if (address === null || typeof address === 'string') throw new Error('no port')
    return address.port
  }

  /** Neither hears the other any more. */
  async cut(one: Machine, other: Machine): Promise<void> {
    await this.#filter('--append', one, other)
  }

  async heal(one: Machine, other: Machine): Promise<void> {
    await this.#filter('--delete', one, other)
  }

  /** What comes to it comes no faster, megabits a second. */
  async slow(machine: Machine, megabits: number): Promise<void> {
    const rate = ['tbf', 'rate', `${megabits}mbit`, 'burst', '256kb', 'limit', '1mb']
    await inside(this.#hub.pid, 'tc', 'qdisc', 'add', 'dev', portOf(machine), 'root', ...rate)
  }

  /** Its cable, out or in. */
  async plug(machine: Machine, how: 'up' | 'down'): Promise<void> {
    await inside(this.#hub.pid, 'ip', 'link', 'set', portOf(machine), how)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync()
  }

  async #filter(how: '--append' | '--delete', one: Machine, other: Machine): Promise<void> {
    for (const [at, from] of [
      [one, other],
      [other, one],
    ] as const) {
      const rule = ['--source', from.address, '--jump', 'DROP']
      await inside(this.#pidOf(at), 'iptables', '--wait', how, 'INPUT', ...rule)
    }
  }

  async #gate(machine: Machine, from: string, to: string): Promise<void> {
    const script = fileURLToPath(new URL('./network-gate.ts', import.meta.url))
    const [first = '', ...words] = [...machine.command, process.execPath, script, from, to]
    this.#owned.use(await holdProcess(first, words))
  }

  #own<T extends { close(): unknown }>(server: T): T {
    this.#owned.defer(() => void server.close())
    return server
  }

  #socket(): string {
    this.#sockets += 1
    return join(this.#folder, String(this.#sockets))
  }

  #pidOf(machine: Machine): number {
    const pid = this.#pids.get(machine)
    if (pid === undefined) throw new Error('a machine of another network')
    return pid
  }
}

/** Its end of the cable, in the bridge's namespace. */
function portOf({ address }: Machine): string {
  return `port${address.slice(SUBNET.length + 1)}`
}

async function inside(pid: number, ...words: readonly string[]): Promise<void> {
  const [first = '', ...rest] = [...enter(pid), ...words]
  await mustRun(first, rest)
}

function enter(pid: number): readonly string[] {
  return ['nsenter', '--target', String(pid), '--net']
}

async function holdNamespace(): Promise<Held> {
  return await holdProcess('unshare', [
    '--net',
    'sh',
    '-c',
    'ip link set lo up && echo up && exec cat',
  ])
}

/** A program that says `up` and ends with its standard input. */
async function holdProcess(first: string, words: readonly string[]): Promise<Held> {
  const child = spawn(first, words, { stdio: ['pipe', 'pipe', 'inherit'] })
  const [said] = (await Promise.race([once(child.stdout, 'data'), once(child, 'exit')])) as [
    unknown,
  ]
  if (String(said).trim() !== 'up') throw new Error(`${first} ${words.join(' ')} does not start`)
  return {
    pid: child.pid ?? 0,
    async [Symbol.asyncDispose]() {
      const ended = once(child, 'exit')
      child.stdin.end()
      await ended
    },
  }
}
