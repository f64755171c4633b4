import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Workplace } from '../../helpers/command.ts'

let place: Workplace
beforeEach(async () => {
  place = await Workplace.create()
})
afterEach(() => place[Symbol.asyncDispose]())

describe('config client', () => {
  it('names this machine as others find it, and says which option names another', async () => {
    const named = await place.run('config', 'client', 'docker')
    place.isNamed = false
    const unnamed = await place.run('config', 'client', 'docker')
    const told = await place.run('config', 'client', 'docker', '--address', 'hub.example:443')

    expect(named.out).toContain('docker pull proxy.example:5000/alpine:3-zstd\n')
    expect(unnamed.out).toContain('docker pull 192.0.2.7:5000/alpine:3-zstd\n')
    expect(unnamed.out).toContain('--address HOST:PORT names another')
    expect(told.out).toContain('docker pull hub.example:443/alpine:3-zstd\n')
    expect(told.out).not.toContain('--address')
  })

  it('writes the files where --output says, and prints the rest', async () => {
    const { code, out } = await place.run('config', 'client', 'containerd', '--output', 'files')
    const path = 'files/etc/containerd/certs.d/docker.io/hosts.toml'

    expect(code).toBe(0)
    expect(out).toContain(`${join(place.folder, path)}\n`)
    expect(out).not.toContain('server =')
    expect(out).toContain('config_path')
    expect(await readFile(join(place.folder, path), 'utf8')).toContain(
      '[host."http://proxy.example:5000/as/zstd"]',
    )
  })

  it('leaves files alone that say something else, unless it is told to', async () => {
    const args = ['config', 'client', 'podman', '--output', '.']
    const path = join(place.folder, 'etc/containers/registries.conf.d/crossdock.conf')
    await place.run(...args)
    const again = await place.run(...args)
    await place.write('etc/containers/registries.conf.d/crossdock.conf', 'mine\n')

    const refused = await place.run(...args)
    const kept = await readFile(path, 'utf8')
    const forced = await place.run(...args, '--force')

    expect(again.code).toBe(0)
    expect(refused).toMatchObject({ code: 2, err: expect.stringContaining(path) })
    expect(kept).toBe('mine\n')
    expect(forced.code).toBe(0)
    expect(await readFile(path, 'utf8')).toContain('[[registry.mirror]]')
  })

  it('gives a lazy snapshotter the form that it reads, and refuses any other', async () => {
    const own = await place.run('config', 'client', 'stargz')
    const other = await place.run('config', 'client', 'stargz', '--profile', 'zstd')

    expect(own.out).toContain('/alpine:3-estargz')
    expect(other).toMatchObject({
      code: 2,
      err: expect.stringContaining(
        'stargz makes nothing of zstd; there are estargz, zstdchunked-stargz',
      ),
    })
  })

  it.each([
    ['is not there', undefined, 'cannot read the file'],
    ['is no certificate', 'hello\n', 'holds no certificate'],
  ])('refuses an authority that %s', async (_, text, problem) => {
    if (text !== undefined) await place.write('ca.pem', text)

    const { code, err } = await place.run('config', 'client', 'podman', '--ca', 'ca.pem')

    expect([code, err]).toEqual([2, expect.stringContaining(problem)])
  })
})
