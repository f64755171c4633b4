/** A clean Debian with systemd as its first process, in namespaces of its own: what a new user's machine is before crossdock comes. */
import { mkdir, mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FirstProcess } from './first-process.ts'
import { CACHE } from './fixtures.ts'
import type { CommandResult } from './fixtures-command.ts'

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
  readonly #first: FirstProcess

  private constructor(first: FirstProcess) {
    this.#first = first
  }

  /** `local`: a folder that is its /usr/local. */
  static async boot(local: string): Promise<DebianMachine> {
    const folder = await mkdtemp(join(tmpdir(), 'crossdock-debian-'))
    await mkdir(join(folder, 'root'))
    await mkdir(join(folder, 'upper'))
    const args = ['sh', '-c', BOOT, 'sh', folder, DEBIAN, local]
    const path = 'PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin'
    const inside = ['--root', '--wd', 'env', '-i', path, 'HOME=/root']
    return new DebianMachine(await FirstProcess.start({ folder, args, inside, ms: BOOT_MS }))
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
    return this.#first.run('sh', '-c', line)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#first[Symbol.asyncDispose]()
  }
}
