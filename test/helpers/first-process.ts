/** systemd as the first process of namespaces of its own: started, waited for, and ended with all that it runs. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, rm } from 'node:fs/promises'
import { type CommandResult, runCommand } from './fixtures-command.ts'

const FLAGS = ['--pid', '--fork', '--mount', '--uts', '--ipc', '--cgroup', '--kill-child']

export interface Boot {
  /** Goes with the machine. */
  readonly folder: string
  /** Further flags of `unshare`, then the script that ends by becoming systemd, with what it is called with. */
  readonly args: readonly string[]
  /** Of `nsenter`, before a program. */
  readonly inside: readonly string[]
  readonly ms: number
}

export class FirstProcess implements AsyncDisposable {
  readonly #boot: Boot
  readonly #process: ChildProcess
  #pid = 0
  #said = ''

  private constructor(boot: Boot) {
    this.#boot = boot
    this.#process = spawn('unshare', [...FLAGS, ...boot.args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#said += text
      })
    }
  }

  /** Resolves when basic.target is active. */
  static async start(boot: Boot): Promise<FirstProcess> {
    const first = new FirstProcess(boot)
    await first.#untilUp()
    return first
  }

  /** Runs a program inside, whatever comes of it. */
  run(...words: readonly string[]): Promise<CommandResult> {
    const where = ['--target', `${this.#pid}`, '--mount', '--pid', '--cgroup']
    return runCommand('nsenter', [...where, ...this.#boot.inside, ...words])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      const ended = once(this.#process, 'exit')
      this.#process.kill('SIGKILL')
      await ended
    }
    await rm(this.#boot.folder, { recursive: true, force: true })
  }

  async #untilUp(): Promise<void> {
    const { pid } = this.#process
    for (const until = Date.now() + this.#boot.ms; Date.now() < until; ) {
      const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '')
      this.#pid = Number(children.trim())
      const isUp = this.#pid > 0 && (await this.run('systemctl', 'is-active', 'basic.target'))
      if (isUp && isUp.stdout.trim() === 'active') return
      if (this.#process.exitCode !== null) break
      // Its first socket is not there yet, so there is nothing to wait at.
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    await this[Symbol.asyncDispose]()
    throw new Error(`systemd did not start: ${this.#said}`)
  }
}
