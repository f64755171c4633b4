/** A clean Debian with systemd as its first process, in namespaces of its own: what a new user's machine is before crossdock comes. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CACHE } from './fixtures.ts'
import { type CommandResult, runCommand } from './fixtures-command.ts'

/** What test/packaging-setup.sh makes; it is never written to. */
export const DEBIAN = join(CACHE, 'servers/debian/root')

/**
 * Runs in the new namespaces; `$1` is the machine's folder, `$2` the Debian, `$3` what becomes its /usr/local. Of its units nothing
 * starts but what somebody asks for: there are neither devices nor disks to wait for. From a root that is only a chroot no service
 * could have users of its own.
 */
const BOOT = `set -e
root=$1/root
mount -t tmpfs tmpfs "$1/upper"
mkdir "$1/upper/data" "$1/upper/work"
mount -t overlay overlay -o "lowerdir=$2,upperdir=$1/upper/data,workdir=$1/upper/work" "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
mkdir -p "$root/run/systemd/system" "$root/var/lib/containerd"
mount -t tmpfs tmpfs "$root/var/lib/containerd"
units=$root/etc/systemd/system
for name in sysinit basic shutdown network network-online local-fs multi-user; do
  printf '[Unit]\\nDefaultDependencies=no\\n' > "$units/$name.target"
done
cp "$root/lib/systemd/system/containerd.service" "$units/"
mkdir -p "$units/crossdock.service.d"
printf '[Service]\\nStandardOutput=file:/var/log/crossdock.out\\nStandardError=append:/var/log/crossdock.log\\n' \
  > "$units/crossdock.service.d/log.conf"
mount --bind "$3" "$root/usr/local"
mount --make-rprivate /
cd "$root"
mkdir before
pivot_root . before
umount -l /before
exec env -i PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin container=test \
  SYSTEMD_UNIT_PATH=/etc/systemd/system /lib/systemd/systemd --system --unit=basic.target --log-target=console --show-status=no`

const BOOT_MS = 30_000

export class DebianMachine implements AsyncDisposable {
  readonly #folder: string
  readonly #process: ChildProcess
  #pid = 0
  #said = ''

  private constructor(folder: string, process: ChildProcess) {
    this.#folder = folder
    this.#process = process
    for (const stream of [process.stdout, process.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#said += text
      })
    }
  }

  /** `local`: a folder that is its /usr/local. */
  static async boot(local: string): Promise<DebianMachine> {
    const folder = await mkdtemp(join(tmpdir(), 'crossdock-debian-'))
    await mkdir(join(folder, 'root'))
    await mkdir(join(folder, 'upper'))
    const flags = ['--pid', '--fork', '--mount', '--uts', '--ipc', '--cgroup', '--kill-child']
    const args = [...flags, 'sh', '-c', BOOT, 'sh', folder, DEBIAN, local]
    const child = spawn('unshare', args, { stdio: ['ignore', 'pipe', 'pipe'] })
    const machine = new DebianMachine(folder, child)
    await machine.#untilUp()
    return machine
  }

  /** Runs a line in a shell inside, as root; throws when it fails. */
  async sh(line: string): Promise<string> {
    const { status, stdout, stderr } = await this.try(line)
    if (status === 0) return stdout
    const { stdout: log } = await this.try(
      'systemctl status crossdock; tail -n 5 /var/log/crossdock.*',
    )
    throw new Error(`${line}: ended with ${status}: ${stderr}${stdout}\n${log}`)
  }

  /** The same, whatever comes of it. */
  try(line: string): Promise<CommandResult> {
    const inside = ['--target', `${this.#pid}`, '--mount', '--pid', '--cgroup', '--root', '--wd']
    const path = 'PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin'
    return runCommand('nsenter', [...inside, 'env', '-i', path, 'HOME=/root', 'sh', '-c', line])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      const ended = once(this.#process, 'exit')
      this.#process.kill('SIGKILL')
      await ended
    }
    await rm(this.#folder, { recursive: true, force: true })
  }

  async #untilUp(): Promise<void> {
    const { pid } = this.#process
    for (const until = Date.now() + BOOT_MS; Date.now() < until; ) {
      const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '')
      this.#pid = Number(children.trim())
      const isUp = this.#pid > 0 && (await this.try('systemctl is-active basic.target'))
      if (isUp && isUp.stdout.trim() === 'active') return
      if (this.#process.exitCode !== null) break
      // Its first socket is not there yet, so there is nothing to wait at.
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    await this[Symbol.asyncDispose]()
    throw new Error(`systemd did not start: ${this.#said}`)
  }
}
