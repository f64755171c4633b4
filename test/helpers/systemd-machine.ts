/** systemd as the first process of namespaces of its own, with nothing but this clone's unit, installed as docs/install.md says. */
import { cp, mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FirstProcess } from './first-process.ts'
import { ROOT } from './fixtures.ts'
import type { CommandResult } from './fixtures-command.ts'

export const SYSTEMD = '/lib/systemd/systemd'

/** What the unit names and every machine has. */
const TARGETS = ['sysinit', 'basic', 'shutdown', 'network-online', 'multi-user']

/** Runs in the new namespaces; `$1` is the machine's folder, `$2` the clone. */
const BOOT = `set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system
mount -t tmpfs tmpfs /var/lib
mount -t tmpfs tmpfs /opt
mkdir /run/etc /run/work /opt/crossdock
mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/etc,workdir=/run/work /etc
mkdir -p /etc/crossdock /etc/sysusers.d
cp "$2/deploy/crossdock.sysusers" /etc/sysusers.d/crossdock.conf
systemd-sysusers crossdock.conf
mount --bind "$2" /opt/crossdock
mount --bind "$1/etc" /etc/crossdock
mount -t tmpfs tmpfs /usr/local/bin
ln -s /opt/crossdock/bin/crossdock /usr/local/bin/crossdock
exec env -i PATH=/usr/local/bin:/usr/bin:/bin container=test SYSTEMD_UNIT_PATH="$1/units" \
  ${SYSTEMD} --system --unit=basic.target --log-target=console --show-status=no`

const BOOT_MS = 20_000

export class SystemdMachine implements AsyncDisposable {
  readonly #folder: string
  readonly #first: FirstProcess

  private constructor(folder: string, first: FirstProcess) {
    this.#folder = folder
    this.#first = first
  }

  static async boot(): Promise<SystemdMachine> {
    const folder = await mkdtemp(join(tmpdir(), 'crossdock-systemd-'))
    const units = join(folder, 'units')
    await mkdir(join(folder, 'etc'), { recursive: true })
    await mkdir(join(units, 'crossdock.service.d'), { recursive: true })
    for (const name of TARGETS) {
      await writeFile(join(units, `${name}.target`), '[Unit]\nDefaultDependencies=no\n')
    }
    await cp(join(ROOT, 'deploy/crossdock.service'), join(units, 'crossdock.service'))
    // There is no journal here.
    const outputs = `StandardOutput=file:${folder}/out\nStandardError=append:${folder}/log`
    await writeFile(join(units, 'crossdock.service.d/log.conf'), `[Service]\n${outputs}\n`)
    const args = ['--mount-proc', 'sh', '-c', BOOT, 'sh', folder, ROOT]
    const first = await FirstProcess.start({ folder, args, inside: ['--'], ms: BOOT_MS })
    return new SystemdMachine(folder, first)
  }

  /** Writes the configuration. */
  configure(text: string): Promise<void> {
    return writeFile(join(this.#folder, 'etc/crossdock.yaml'), text)
  }

  /** Runs a program inside. */
  run(program: string, ...args: readonly string[]): Promise<CommandResult> {
    return this.#first.run(program, ...args)
  }

  /** What `systemctl show` says of the unit. */
  async property(name: string): Promise<string> {
    const { stdout } = await this.run('systemctl', 'show', 'crossdock', '-p', name, '--value')
    return stdout.trim()
  }

  /** The unit's file, as it lies inside. */
  get unit(): string {
    return join(this.#folder, 'units/crossdock.service')
  }

  output(): Promise<string> {
    return readFile(join(this.#folder, 'out'), 'utf8')
  }

  log(): Promise<string> {
    return readFile(join(this.#folder, 'log'), 'utf8')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#first[Symbol.asyncDispose]()
  }
}
