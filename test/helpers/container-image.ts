/** The container image: built from the Dockerfile by buildah, and run by runc as an engine would run it. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CACHE, ROOT } from './fixtures.ts'
import { type CommandResult, mustRun, runCommand } from './fixtures-command.ts'

/** As test/packaging-setup.sh fills it. */
const STATE = join(CACHE, 'servers', 'run')
const STORE = ['--root', join(STATE, 'ctr'), '--runroot', join(STATE, 'ctrrun')]
const BUILDAH = [...STORE, '--storage-driver', 'overlay']
const TAG = 'localhost/crossdock:built'
const AUTHORITIES = '/etc/ssl/certs/ca-certificates.crt'

export interface ImageConfig {
  readonly Entrypoint: readonly string[]
  readonly Cmd: readonly string[]
  readonly Env: readonly string[]
  readonly User: string
  readonly WorkingDir: string
  readonly Labels: Readonly<Record<string, string>>
  readonly Volumes: Readonly<Record<string, unknown>>
  readonly Healthcheck?: { readonly Test: readonly string[] }
}

function buildah(...args: readonly string[]): Promise<CommandResult> {
  return mustRun('buildah', [...BUILDAH, ...args])
}

/** Builds the Dockerfile of this clone; the base image has to be there. */
export async function buildImage(
  args: Readonly<Record<string, string>>,
): Promise<{ readonly config: ImageConfig; readonly bytes: number }> {
  const folder = await mkdtemp(join(tmpdir(), 'crossdock-build-'))
  try {
    // npm has to know who vouches for its registry on this machine; the image keeps none of it.
    const npmrc = join(folder, 'npmrc')
    await writeFile(npmrc, `cafile=${AUTHORITIES}\n`)
    const mounts = [`${AUTHORITIES}:${AUTHORITIES}:ro`, `${npmrc}:/root/.npmrc:ro`]
    await mustRun('nice', [
      ...['-n', '10', 'buildah', ...BUILDAH, 'build', '--layers=false', '--pull-never'],
      // With this format HEALTHCHECK is kept.
      ...['--network', 'host', '--isolation', 'oci', '--runtime', 'runc', '--format', 'docker'],
      ...mounts.flatMap((mount) => ['--volume', mount]),
      ...Object.entries(args).flatMap(([name, value]) => ['--build-arg', `${name}=${value}`]),
      ...['--tag', TAG, ROOT],
    ])
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
  const { stdout } = await buildah('inspect', '--type', 'image', TAG)
  const sizes = await buildah('images', '--json', TAG)
  const [{ size } = { size: '' }] = JSON.parse(sizes.stdout) as [{ size: string }]
  return { config: JSON.parse(stdout).Docker.config, bytes: Number.parseFloat(size) * 1e6 }
}

export class Container implements AsyncDisposable {
  readonly #id = `crossdock-test-${process.pid}`
  readonly #bundle: string
  readonly #working: string
  #process: ChildProcess | undefined
  #said = ''

  private constructor(bundle: string, working: string) {
    this.#bundle = bundle
    this.#working = working
  }

  /** Runs the image with a root that is only read, without any capability, on the host's network. */
  static async run(
    image: ImageConfig,
    user: { readonly uid: number; readonly gid: number },
    env: Readonly<Record<string, string>>,
  ): Promise<Container> {
    const bundle = await mkdtemp(join(tmpdir(), 'crossdock-bundle-'))
    const working = (await buildah('from', '--pull-never', TAG)).stdout.trim()
    const container = new Container(bundle, working)
    const path = (await buildah('mount', working)).stdout.trim()
    // As a new volume is, for which an engine takes the image's folder.
    await mustRun('cp', ['-a', join(path, 'data'), join(bundle, 'data')])
    const spec = runtimeSpec(image, user, env, { root: path, data: join(bundle, 'data') })
    await writeFile(join(bundle, 'config.json'), JSON.stringify(spec))
    await mkdir(join(bundle, 'state'))
    container.#start()
    return container
  }

  #start(): void {
    const child = spawn('runc', this.#runc('run', '--bundle', this.#bundle, this.#id), {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#said += text
      })
    }
    this.#process = child
  }

  get output(): string {
    return this.#said
  }

  /** As `docker exec`. */
  exec(...command: readonly string[]): Promise<CommandResult> {
    return runCommand('runc', this.#runc('exec', this.#id, ...command))
  }

  /** Sends SIGTERM, and resolves with the exit code. */
  async stop(): Promise<number | null> {
    const child = this.#process
    if (child === undefined) return null
    if (child.exitCode !== null) return child.exitCode
    const ended = once(child, 'exit')
    await runCommand('runc', this.#runc('kill', this.#id, 'TERM'))
    await ended
    return child.exitCode
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await runCommand('runc', this.#runc('delete', '--force', this.#id))
    await runCommand('buildah', [...BUILDAH, 'rm', this.#working])
    await rm(this.#bundle, { recursive: true, force: true })
  }

  #runc(...args: readonly string[]): readonly string[] {
    return ['--root', join(this.#bundle, 'state'), ...args]
  }
}

function runtimeSpec(
  image: ImageConfig,
  user: { readonly uid: number; readonly gid: number },
  env: Readonly<Record<string, string>>,
  paths: { readonly root: string; readonly data: string },
): object {
  const none: readonly string[] = []
  const capabilities = { bounding: none, effective: none, permitted: none }
  return {
    ociVersion: '1.0.2',
    root: { path: paths.root, readonly: true },
    process: {
      terminal: false,
      user,
      args: [...image.Entrypoint, ...image.Cmd],
      env: [...image.Env, ...Object.entries(env).map(([name, value]) => `${name}=${value}`)],
      cwd: image.WorkingDir,
      noNewPrivileges: true,
      capabilities,
    },
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc' },
      { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'mode=755'] },
      { destination: '/data', type: 'bind', source: paths.data, options: ['rbind', 'rw'] },
    ],
    linux: { namespaces: ['pid', 'mount', 'ipc', 'uts'].map((type) => ({ type })) },
  }
}
