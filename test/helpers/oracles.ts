/** The oracles: programs on the formats' own libraries that say whether an image is right. */
import { join } from 'node:path'
import { expect } from 'vitest'
import { SHARED, TOOLS } from './fixtures.ts'
import { type CommandResult, mustRun, runCommand } from './fixtures-command.ts'
import { readImage } from './fixtures-registry.ts'

/** Address space of an oracle: a tree of many long names has taken all the memory of a machine. */
const MAX_BYTES = 12 * 1024 ** 3

/** Runs an oracle that must find nothing wrong. */
export async function askOracle(name: string, args: readonly string[]): Promise<CommandResult> {
  return await mustRun('prlimit', [`--as=${MAX_BYTES}`, join(TOOLS, name), ...args])
}

export interface CompareOptions {
  readonly platform?: string
  /** The config blob must be the same bytes. */
  readonly sameConfig?: boolean
  readonly sameDiffIds?: boolean
}

/** Throws unless both images unpack to the same files, entry by entry. */
export async function expectSameImage(
  source: string,
  target: string,
  options: CompareOptions = {},
): Promise<void> {
  await askOracle('oracle-image', [
    'compare',
    source,
    target,
    '--insecure',
    ...(options.platform === undefined ? [] : ['--platform', options.platform]),
    ...(options.sameConfig === false ? ['--any-config'] : ['--same-config']),
    ...(options.sameDiffIds === false ? [] : ['--same-diffids']),
  ])
}

/** Throws unless every manifest, config and blob below the reference is what it claims to be. */
export async function expectSoundImage(image: string, ...options: string[]): Promise<void> {
  await askOracle('oracle-image', ['check', image, '--insecure', ...options])
}

/** Throws unless the code of podman and CRI-O pulls just the layers that are zstd:chunked in parts, and the rest whole. */
export async function expectPartialPull(image: string): Promise<void> {
  const { document } = await readImage(image)
  const { stdout } = await askOracle('oracle-pull', [image, '--insecure', '--json'])
  const { facts } = JSON.parse(stdout) as {
    facts: { layers: readonly { digest: string; partial: boolean }[] }
  }
  const wanted = (document.layers ?? []).map((layer) => ({
    digest: layer.digest,
    partial: isForPodman(layer.annotations),
  }))
  expect(facts.layers.map(({ digest, partial }) => ({ digest, partial }))).toEqual(wanted)
}

/** Whether a layer is zstd:chunked for podman and CRI-O. */
export function isForPodman(annotations: Readonly<Record<string, string>> = {}): boolean {
  return 'io.github.containers.zstd-chunked.manifest-checksum' in annotations
}

/** Runs the reading side of the distribution-spec's conformance suite; throws with its output when it fails. */
export async function expectConformance(
  url: string,
  repository: string,
  references: readonly string[],
  results: string,
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  const { status, stdout, stderr } = await runCommand(
    join(SHARED, 'oracles', 'conformance.sh'),
    [url, repository, ...references],
    { env: { CROSSDOCK_TOOLS: join(TOOLS, '..'), RESULTS: results, OCI_REFERRERS: '1', ...env } },
  )
  if (status !== 0) throw new Error(`conformance of ${repository}: ${stdout}\n${stderr}`)
  return stdout
}
