/** Whoever does a command's work: this process, or a running server. */
import type { ActionName, AskOf, ResultOf, Watch } from '../admin/actions.ts'
import type { Progress } from '../convert/progress.ts'
import type { CommonOptions } from './session.ts'

export interface ActingOptions extends CommonOptions {
  /** URL of a server's admin listener. */
  readonly server?: string
}

export interface Acting extends AsyncDisposable {
  /** Throws UsageError for what is asked wrongly, and whatever it fails with. */
  act<N extends ActionName>(name: N, ask: AskOf<N>, watch?: Watch): Promise<ResultOf<N>>
  /** What becomes of the work when the command ends before it: `the server goes on with it`. */
  readonly onInterruption: string
  readonly progress: Pick<Progress, 'list' | 'subscribe'>
}
