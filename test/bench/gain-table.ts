/** What the rows of `gain` say: its table, and what is held to the goals. */
import type { Need } from '../helpers/fixtures.ts'
import type { StartNode } from './gain-nodes.ts'
import type { AnyRow } from './row.ts'

export interface Form {
  readonly suffix: string
  readonly node: StartNode
  readonly needs: readonly Need[]
  readonly isLazy: boolean
}

export const LINES = { local: undefined, '100 Mbit/s': 100 } as const
export type Line = keyof typeof LINES
export const LINE_NAMES = Object.keys(LINES) as Line[]

/** The goals: of a cold form beside cold `-zstd`, and of a first command from a lazy form that is there. */
const MAX_SLOWDOWN = 1.3
const LAZY_SECONDS = 2

/** One pull and what it took. */
export interface Gain {
  readonly image: string
  readonly form: Form
  readonly line: Line
  readonly state: 'direct' | 'cold' | 'warm'
  readonly pulled: number
  readonly ran: number
  readonly bytes: number
}

/** How a form is called: the same one can be for two kinds of nodes. */
function nameOf({ suffix, isLazy }: Form): string {
  if (suffix === '') return 'original, direct'
  return isLazy ? `${suffix}, lazily` : suffix
}

export function describe({ image, form, line, state, pulled, ran, bytes }: Gain): string {
  const times = `pulled after ${pulled.toFixed(1)} s, first command ended after ${ran.toFixed(1)} s`
  return `${image} ${nameOf(form)}, ${state}, ${line}: ${times}, ${(bytes / 1e6).toFixed(1)} MB`
}

/** A line for each form, with seconds to the end of the pull and to that of the first command; what is direct is neither cold nor warm. */
export function tableOf(gains: readonly Gain[]): string {
  const columns = LINE_NAMES.flatMap((line) =>
    (['cold', 'warm'] as const).map((state) => ({ line, state })),
  )
  const names = columns.map(({ line, state }) => `${state}, ${line}`)
  const head = ['image', 'form', ...names, 'MB, warm']
  const rows = Map.groupBy(gains, ({ image, form }) => [image, nameOf(form)].join(' | '))
  const lines = [...rows].map(([name, own]) => {
    const cells = columns.map(({ line, state }) => {
      const one = own.find((each) => each.line === line && [state, 'direct'].includes(each.state))
      return one === undefined ? '' : `${one.pulled.toFixed(1)}, ${one.ran.toFixed(1)} s`
    })
    return [name, ...cells, megabytes(own.at(-1))]
  })
  return [head, head.map(() => '---'), ...lines]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n')
}

function megabytes(one: Gain | undefined): string {
  return ((one?.bytes ?? 0) / 1e6).toFixed(1)
}

/** Every cold form beside cold `-zstd`, until its first command has ended. */
export function slowdowns(gains: readonly Gain[]): readonly AnyRow[] {
  const cold = gains.filter(({ state }) => state === 'cold')
  return cold.flatMap((one) => {
    const isZstd = (two: Gain) => two.form.suffix === '-zstd'
    const zstd = cold.find((two) => isZstd(two) && two.image === one.image && two.line === one.line)
    if (zstd === undefined || isZstd(one)) return []
    return {
      what: `${one.image} ${nameOf(one.form)}, cold, ${one.line}: first command ended after`,
      against: 'cold -zstd',
      ours: `${one.ran.toFixed(1)} s`,
      theirs: `${zstd.ran.toFixed(1)} s`,
      ratio: zstd.ran / one.ran,
      least: 1 / MAX_SLOWDOWN,
    }
  })
}

export function firstCommands(gains: readonly Gain[]): readonly AnyRow[] {
  return gains
    .filter(({ form, state, line }) => form.isLazy && state === 'warm' && line === 'local')
    .map((one) => ({
      what: `${one.image} ${nameOf(one.form)}, warm: first command ended after`,
      ours: `${one.ran.toFixed(1)} s`,
      bound: `below ${LAZY_SECONDS} s`,
      met: one.ran < LAZY_SECONDS,
    }))
}
