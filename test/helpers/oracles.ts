/** The oracles: programs on the formats' own libraries that say whether an image is right. */
import { join } from 'node:path'
import { SHARED, TOOLS } from './fixtures.ts'
import { mustRun, runCommand } from './fixtures-command.ts'

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
  await mustRun(join(TOOLS, 'oracle-image'), [
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
  await mustRun(join(TOOLS, 'oracle-image'), ['check', image, '--insecure', ...options])
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
