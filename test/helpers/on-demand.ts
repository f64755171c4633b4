/** A server that a whole run shares: started when the first test wants it, ended with the run. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface OnDemand extends AsyncDisposable {
  /** Answers with the address of the server, once it runs; 500 and why when it does not. */
  readonly url: string
}

export async function onDemand<T extends AsyncDisposable>(
  start: () => Promise<T>,
  addressOf: (server: T) => string,
): Promise<OnDemand> {
  let starting: Promise<T> | undefined
  const front = createServer((_, response) => {
    starting ??= start()
    starting.then(
      (server) => response.end(addressOf(server)),
      (error: unknown) => response.writeHead(500).end(String(error)),
    )
  })
  return {
    url: `http://127.0.0.1:${await portOf(front)}`,
    async [Symbol.asyncDispose]() {
      front.close()
      front.closeAllConnections()
      await (await starting?.catch(() => undefined))?.[Symbol.asyncDispose]()
    },
  }
}

/** The address that `url` of an OnDemand answers with. */
export async function demand(url: string): Promise<string> {
  const answer = await fetch(url)
  const address = await answer.text()
  if (!answer.ok) throw new Error(address)
  return address
}

async function portOf(server: Server): Promise<number> {
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  server.unref()
  return (server.address() as AddressInfo).port
}
