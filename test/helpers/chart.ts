/** The Helm chart as helm renders it: with which values, and the objects that come out. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { parseAllDocuments } from 'yaml'
import { ROOT } from './fixtures.ts'
import { type CommandResult, mustRun, runCommand } from './fixtures-command.ts'
import { findJudge } from './packaging.ts'

export const CHART = join(ROOT, 'deploy/helm/crossdock')
/** The version whose schemas test/packaging-setup.sh fetches. */
export const KUBERNETES = '1.34.0'

export interface KubeObject {
  readonly kind: string
  readonly metadata: { readonly name: string; readonly labels: Readonly<Record<string, string>> }
  readonly data?: Readonly<Record<string, string>>
  readonly spec: {
    readonly template: { readonly spec: PodSpec }
    readonly ports: readonly { readonly name: string; readonly nodePort?: number }[]
  }
}

export interface PodSpec {
  readonly automountServiceAccountToken: boolean
  readonly enableServiceLinks: boolean
  readonly securityContext: Readonly<Record<string, unknown>>
  readonly containers: readonly {
    readonly image: string
    readonly env?: readonly { readonly name: string; readonly value?: string }[]
    readonly securityContext: Readonly<Record<string, unknown>>
    readonly volumeMounts: readonly { readonly mountPath: string }[]
  }[]
}

/** `private`, of `ci/private-values.yaml`, and so on. */
export function valuesNames(): readonly string[] {
  return readdirSync(join(CHART, 'ci')).map((name) => name.replace('-values.yaml', ''))
}

export function helm(...args: readonly string[]): Promise<CommandResult> {
  return runCommand(findJudge('helm'), args)
}

/** The manifests' text. */
export async function render(values: string, ...more: readonly string[]): Promise<string> {
  const file = join(CHART, 'ci', `${values}-values.yaml`)
  const args = ['template', 'my', CHART, '--kube-version', KUBERNETES, '--values', file, ...more]
  return (await mustRun(findJudge('helm'), args)).stdout
}

export function objectsOf(manifests: string): readonly KubeObject[] {
  return parseAllDocuments(manifests)
    .map((document) => document.toJS() as KubeObject | null)
    .filter((one) => one !== null)
}
