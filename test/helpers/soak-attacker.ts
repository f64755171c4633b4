/** The one among the clients of the soak that takes what it can get, from an address of its own: everybody else must not notice. */
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { ask } from './faults-http.ts'
import type { Dice } from './faults-seed.ts'
import type { Surroundings } from './soak-client.ts'

const ADDRESS = '127.0.0.66'
/** How long it holds on to what it has, ms at most. */
const PATIENCE_MS = 8_000
const CROWD = 300

export class SoakAttacker {
  readonly #around: Surroundings
  readonly #dice: Dice

  constructor(around: Surroundings, dice: Dice) {
    this.#around = around
    this.#dice = dice
  }

  async run(): Promise<void> {
    const deeds = [
      ['attack: connections', () => this.#crowd('')],
      ['attack: half a request', () => this.#crowd('GET /v2/ HTTP/1.1\r\nHost: lo')],
      ['attack: requests at once', () => this.#crowd(this.#unknowns().repeat(10), 5)],
      ['attack: stalled readers', () => this.#crowd(this.#pulls(), 100)],
      ['attack: other names', () => this.#crowd('GET /v2/ HTTP/1.1\r\nHost: evil.example\r\n\r\n')],
    ] as const
    while (!this.#around.isOver) {
      const [name, deed] = this.#dice.pick<(typeof deeds)[number]>(deeds)
      await deed()
      this.#around.ledger.count(name)
    }
  }

  /** Connections that say this and read nothing, until it is bored; health is asked for beside them. */
  async #crowd(text: string, size = CROWD): Promise<void> {
    const { hostname, port } = new URL(this.#around.url)
    const sockets = Array.from({ length: size }, (): Socket => {
      const socket = connect({ host: hostname, port: Number(port), localAddress: ADDRESS })
      socket.on('error', () => undefined)
      socket.pause()
      if (text !== '') socket.write(text)
      return socket
    })
    const wasCalm = this.#around.isCalm
    await sleep(this.#dice.int(PATIENCE_MS))
    const { status } = await ask(`${this.#around.url}/healthz`)
    const { ledger, isCalm } = this.#around
    if (status !== 200 && wasCalm && isCalm) ledger.violate(`health was ${status} under attack`)
    for (const socket of sockets) socket.destroy()
  }

  #unknowns(): string {
    const name = this.#dice.pick(this.#around.images.names)
    const one = (i: number) =>
      `HEAD /v2/${name}/manifests/none-${i}-${this.#dice.int(1e9)} HTTP/1.1\r\nHost: localhost\r\n\r\n`
    return Array.from({ length: 20 }, (_, i) => one(i)).join('')
  }

  #pulls(): string {
    const name = this.#dice.pick(this.#around.images.names)
    const tag = this.#dice.pick(this.#around.images.tags)
    return `GET /v2/${name}/manifests/${tag} HTTP/1.1\r\nHost: localhost\r\n\r\n`.repeat(30)
  }
}
