/** deploy/crossdock.service under a real systemd: user, folder, readiness, reload, end, and what the unit's sandbox permits. */
import { existsSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { pull } from '../helpers/faults-puller.ts'
import { describeWithPrograms } from '../helpers/packaging.ts'
import { SYSTEMD, SystemdMachine } from '../helpers/systemd-machine.ts'

/** `systemd-analyze security` says 0.0 (safe) to 10.0; this is in tenths. */
const EXPOSURE = '20'

/** What takes a process to start, on a machine that has much else to do. */
const SOON = { timeout: 60_000 }

const isRoot = process.getuid?.() === 0
const programs = ['unshare', 'nsenter', 'systemd-analyze', 'systemd-notify']

describeWithPrograms(isRoot && existsSync(SYSTEMD) ? programs : ['root'], 'the unit', () => {
  let machine: SystemdMachine
  let registry: FakeRegistry

  beforeAll(async () => {
    registry = await FakeRegistry.start()
    await registry.pushImage('team/app', '1', { layers: [{ size: 100_000 }] })
    machine = await SystemdMachine.boot()
  })
  afterAll(async () => {
    await machine?.[Symbol.asyncDispose]()
    await registry?.[Symbol.asyncDispose]()
  })

  function configure(more = ''): Promise<void> {
    const upstream = `defaultUpstream: local\nupstreams: { local: { url: "${registry.url}" } }\n`
    return machine.configure(`listen: [{ address: 127.0.0.1:0 }]\n${upstream}admin: off\n${more}`)
  }

  async function url(): Promise<string> {
    return /serves on (\S+)/.exec(await machine.output())?.[1] ?? ''
  }

  test('is sound, and leaves a service little to do harm with', async () => {
    // It ends with 0 whatever keys it does not know.
    const verified = await machine.run('systemd-analyze', 'verify', machine.unit)
    expect([verified.stderr, verified.status]).toEqual(['', 0])

    const flags = ['--offline=true', `--threshold=${EXPOSURE}`, '--no-pager']
    const { status, stdout } = await machine.run(
      'systemd-analyze',
      'security',
      ...flags,
      machine.unit,
    )
    expect([status, stdout.trimEnd().split('\n').at(-1)]).toEqual([0, expect.any(String)])
  })

  test('is started when it answers, as its own user with its own folder', async () => {
    await configure()
    const started = await machine.run('systemctl', 'start', 'crossdock')
    expect([started.stderr, started.status]).toEqual(['', 0])

    const { layers } = await pull(`${await url()}/v2`, 'team/app', '1-zstd')
    expect(layers).toHaveLength(1)
    expect(await machine.property('ActiveState')).toBe('active')
    const folder = await machine.run('stat', '-c', '%a %U', '/var/lib/crossdock')
    expect(folder.stdout.trim()).toBe('700 crossdock')
    const user = await machine.run('id', '-u', 'crossdock')
    expect(await machine.property('UID')).toBe(user.stdout.trim())
  })

  test('has its store used by commands beside it', async () => {
    const list = ['crossdock', 'list', '--data', '/var/lib/crossdock', '--json']
    const { stdout, stderr } = await machine.run('runuser', '-u', 'crossdock', '--', ...list)

    expect([stdout, stderr]).toEqual([expect.stringContaining('team/app'), ''])
  })

  test('reads the configuration again on reload, and ends with success', async () => {
    const reloaded = await machine.run('systemctl', 'reload', 'crossdock')
    expect([reloaded.stderr, reloaded.status]).toEqual(['', 0])
    await expect.poll(() => machine.log()).toContain('"event":"reloaded"')

    const stopped = await machine.run('systemctl', 'stop', 'crossdock')
    expect([stopped.stderr, stopped.status]).toEqual(['', 0])
    expect(await machine.property('Result')).toBe('success')
    expect(await machine.property('ExecMainStatus')).toBe('0')
    expect(await machine.property('NRestarts')).toBe('0')
  })

  test('goes on with its other workers when the kernel kills one, and ends all of them with success', async () => {
    await configure('workers: 2\n')
    const started = await machine.run('systemctl', 'start', 'crossdock')
    expect([started.stderr, started.status]).toEqual(['', 0])
    const supervisor = await machine.property('MainPID')
    const workers = async () =>
      (await machine.run('pgrep', '-P', supervisor)).stdout.trim().split('\n')
    const [first = '', second] = await workers()
    expect(second).toBeDefined()

    await machine.run('kill', '-KILL', first)

    await expect.poll(() => machine.log(), SOON).toContain('"event":"worker_replaced"')
    expect((await workers()).length).toBe(2)
    expect(await machine.property('ActiveState')).toBe('active')
    expect(await machine.property('OOMPolicy')).toBe('continue')
    const stopped = await machine.run('systemctl', 'stop', 'crossdock')
    expect([stopped.stderr, stopped.status]).toEqual(['', 0])
    expect(await machine.property('Result')).toBe('success')
    expect(await machine.property('NRestarts')).toBe('0')
  })

  test('is not started again and again when its configuration cannot be used', async () => {
    await configure('cache: { maxSise: 1GiB }\n')
    const started = await machine.run('systemctl', 'start', 'crossdock')

    expect(started.status).not.toBe(0)
    expect(await machine.log()).toMatch(/crossdock\.yaml:\d+:\d+: cache.*maxSise/)
    expect(await machine.property('ExecMainStatus')).toBe('2')
    expect(await machine.property('NRestarts')).toBe('0')
  })
})
