/**
 * A new user's diary: from a clean Debian to a first pull, a service, a node's containerd that pulls through it, a chart and a board,
 * by the commands of README and docs/install.md, one after the other on one machine.
 */
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { CHART, helm, KUBERNETES } from '../helpers/chart.ts'
import { DEBIAN, DebianMachine } from '../helpers/debian-machine.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { ROOT } from '../helpers/fixtures.ts'
import { mustRun, runCommand } from '../helpers/fixtures-command.ts'
import {
  cloneTo,
  describeWithPrograms,
  findJudge,
  SCHEMAS,
  userEnvironment,
} from '../helpers/packaging.ts'
import { BOARD } from '../helpers/prometheus.ts'

const PACKAGE = '/usr/local/lib/node_modules/crossdock'
const env = userEnvironment()
const isReady = process.getuid?.() === 0 && existsSync(DEBIAN)
const programs = isReady ? ['unshare', 'nsenter', 'npm'] : ['the Debian of test/packaging-setup.sh']

describeWithPrograms(programs, 'a new user', () => {
  let place: string
  let registry: FakeRegistry
  let machine: DebianMachine
  let address: string
  let admin: string

  beforeAll(async () => {
    place = await mkdtemp(join(tmpdir(), 'crossdock-diary-'))
    // Stands in for Docker Hub, of which nothing is reached here.
    registry = await FakeRegistry.start()
    await registry.pushImage('library/alpine', '3', { layers: [{ size: 200_000 }] })
    // What npm needs of the world lies outside, so that it comes first.
    const { file } = await packed(place)
    const local = join(place, 'local')
    await mustRun('npm', ['install', '--global', '--prefix', local, file], { env })
    machine = await DebianMachine.boot(local)
  })
  afterAll(async () => {
    await machine?.[Symbol.asyncDispose]()
    await registry?.[Symbol.asyncDispose]()
    await rm(place, { recursive: true, force: true })
  })

  const logged = (event: string) => machine.sh(`grep '"event":"${event}"' /var/log/crossdock.log`)

  test('has a package of npm, whose command says its version and how to go on', async () => {
    const { version } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'))

    expect((await machine.sh('crossdock --version')).trim()).toBe(version)
    expect(await machine.sh('crossdock --help')).toContain('Documentation:')
    expect(await machine.sh('man --warnings -l /usr/local/share/man/man1/crossdock.1')).toContain(
      'SYNOPSIS',
    )
  })

  test('makes it a service, as docs/install.md says', async () => {
    const upstream = `defaultUpstream: docker.io\nupstreams: { docker.io: { url: "${registry.url}" } }`
    await machine.sh(`mkdir -p /etc/crossdock && cat > /etc/crossdock/crossdock.yaml <<'END'
listen: [{ address: 127.0.0.1:0 }]
admin: 127.0.0.1:0
${upstream}
END`)
    expect(await machine.sh('crossdock config check')).toContain('the configuration is sound')
    const copy = 'install -D -m 644'
    await machine.sh(`${copy} ${PACKAGE}/deploy/crossdock.sysusers /etc/sysusers.d/crossdock.conf`)
    await machine.sh('systemd-sysusers')
    await machine.sh(
      `${copy} ${PACKAGE}/deploy/crossdock.service /etc/systemd/system/crossdock.service`,
    )
    await machine.sh('systemctl daemon-reload && systemctl enable --now crossdock')

    expect((await machine.sh('systemctl is-active crossdock')).trim()).toBe('active')
    expect((await machine.sh('systemctl is-enabled crossdock')).trim()).toBe('enabled')
    const started = JSON.parse(await logged('started'))
    address = new URL(started.addresses[0]).host
    admin = started.admin
    expect(await machine.sh('cat /var/log/crossdock.out')).toContain(
      `docker pull ${address}/alpine`,
    )
  })

  test('has containerd pull an image by the suffix of its tag', async () => {
    await machine.sh('systemctl start containerd')
    await machine.sh(`ctr images pull --plain-http ${address}/alpine:3-zstd`)

    expect(await machine.sh('ctr images list')).toContain(`${address}/alpine:3-zstd`)
    expect(await logged('request')).toMatch(/"conversion":"converted; seconds=/)
  })

  test('sets a node up, whose containerd pulls through it by the usual name', async () => {
    const setup = ['crossdock', 'config', 'client', 'containerd', '--profile', 'estargz']
    const written = await machine.sh([...setup, '--address', address, '--output', '/'].join(' '))
    const image = 'docker.io/library/alpine:3'
    await machine.sh(`ctr images pull --hosts-dir /etc/containerd/certs.d ${image}`)

    expect(written).toContain('/etc/containerd/certs.d/docker.io/hosts.toml\n')
    expect(await machine.sh('ctr images list')).toContain(image)
    const list = 'runuser -u crossdock -- crossdock list --data /var/lib/crossdock --json'
    const rows: { readonly name: string; readonly profile: string }[] = JSON.parse(
      await machine.sh(list),
    )
    const profiles = rows.filter(({ name }) => name === image).map(({ profile }) => profile)
    expect(profiles.toSorted()).toEqual(['estargz', 'original', 'zstd'])
  })

  test('finds each metric of the board at the service', async () => {
    const metrics = await machine.sh(`curl -sf ${admin}/metrics`)
    const board = await readFile(BOARD, 'utf8')
    const named = new Set(board.match(/crossdock_[a-z_]+/g))

    expect(named.size).toBeGreaterThan(5)
    const missing = [...named].filter((name) => !metrics.includes(name.replace(/_bucket$/, '')))
    expect(missing).toEqual([])
  })

  test('changes the configuration of what runs, and ends it', async () => {
    await machine.sh(`echo 'cache: { maxSize: 7GiB }' >> /etc/crossdock/crossdock.yaml`)
    await machine.sh('systemctl reload crossdock')
    await expect
      .poll(() => logged('reloaded').catch(() => ''), { timeout: 10_000 })
      .toContain('"changed":["cache.maxSize"]')

    await machine.sh('systemctl disable --now crossdock')
    expect((await machine.sh('systemctl show crossdock -p Result --value')).trim()).toBe('success')
  })

  const judge = existsSync(findJudge('helm')) && existsSync(findJudge('kubeconform'))

  test.skipIf(!judge)('renders the chart for a cluster that pulls through it', async () => {
    const nodes = [
      '--set',
      'nodes.enabled=true,nodes.address=proxy.example:5000',
      '--set',
      'image.repository=registry.example/crossdock',
    ]
    const rendered = await helm('template', 'my', CHART, '--kube-version', KUBERNETES, ...nodes)
    expect([rendered.status, rendered.stderr]).toEqual([0, ''])
    expect(rendered.stdout).toContain('kind: DaemonSet')

    const schemas = join(
      SCHEMAS,
      `v${KUBERNETES}-local-strict`,
      '{{.ResourceKind}}{{.KindSuffix}}.json',
    )
    const flags = [
      '-strict',
      '-kubernetes-version',
      KUBERNETES,
      '-schema-location',
      schemas,
      '-summary',
      '-',
    ]
    const judged = await runCommand(findJudge('kubeconform'), flags, { input: rendered.stdout })
    expect(judged.stdout).toContain('Invalid: 0, Errors: 0')
  })
})

/** `npm pack` in a clone of all that git would commit. */
async function packed(place: string): Promise<{ readonly file: string }> {
  const clone = await cloneTo(join(place, 'clone'))
  await symlink(join(ROOT, 'node_modules'), join(clone, 'node_modules'))
  await mustRun('sh', ['-c', `cd ${clone} && npm pack --pack-destination ${place}`], { env })
  const { version } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'))
  return { file: join(place, `crossdock-${version}.tgz`) }
}
