import { chmod, readFile } from 'node:fs/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { tellReady } from '../../../src/cli/service-manager.ts'
import { Workplace } from '../../helpers/command.ts'

let place: Workplace
beforeEach(async () => {
  place = await Workplace.create()
})
afterEach(() => place[Symbol.asyncDispose]())

/** A `systemd-notify` that writes down what it was called with. */
async function notifier(code = 0): Promise<NodeJS.ProcessEnv> {
  const script = `#!/bin/sh\necho "$NOTIFY_SOCKET" "$@" > ${place.folder}/told\nexit ${code}\n`
  await chmod(await place.write('systemd-notify', script), 0o755)
  return { PATH: `${place.folder}:/usr/bin:/bin`, NOTIFY_SOCKET: '/run/notify' }
}

const told = () => readFile(`${place.folder}/told`, 'utf8')

describe('readiness', () => {
  it('is told to the service manager that asks for it', async () => {
    await tellReady(await notifier())

    expect(await told()).toBe('/run/notify --ready\n')
  })

  it('is told to nobody where nobody asked', async () => {
    const { NOTIFY_SOCKET: _, ...env } = await notifier()

    await tellReady(env)

    await expect(told()).rejects.toThrow()
  })

  it('is in the log when it could not be told, and the server serves on', async () => {
    Object.assign(place.env, await notifier(1))
    await place.write('crossdock.yaml', 'listen: [{ address: 127.0.0.1:0 }]\nadmin: off\n')
    const server = place.start()

    const url = await server.said(/serves on (\S+)/)
    const line = await server.logged(/\{.*readiness_untold.*\}/)

    expect((await fetch(`${url}/v2/`)).status).toBe(200)
    expect(JSON.parse(line)).toMatchObject({ level: 'error', event: 'readiness_untold' })
    server.signal()
    expect((await server.done).code).toBe(0)
  })
})
