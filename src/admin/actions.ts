/** Everything that an operator can have done, in one table: commands run it here or in a server, the API lets anybody ask for it. */
import { CrossdockError } from '../errors.ts'
import {
  checkRecheck,
  checkRemove,
  checkSignatures,
  type PinResult,
  pin,
  type RecheckResult,
  type RemoveResult,
  recheck,
  remove,
  type SignaturesResult,
  signatures,
  type UnpinResult,
  unpin,
} from './act-on-names.ts'
import {
  type CollectAsk,
  type ImagesAsk,
  parseCollectAsk,
  parseImagesAsk,
  parseStageAsk,
  parseVerifyAsk,
  type StageAsk,
  type VerifyAsk,
} from './asks.ts'
import {
  type ConvertAgainDeps,
  type ConvertAgainResult,
  checkConvertAgain,
  convertAgain,
} from './convert-again.ts'
import { type StageOutcome, stage } from './stage.ts'
import type { TaskProgress } from './tasks.ts'
import {
  type CollectResult,
  collect,
  type UpkeepDeps,
  type VerifyResult,
  type VerifyWatch,
  verify,
} from './upkeep.ts'

export type ActionDeps = ConvertAgainDeps & UpkeepDeps

/** What each action is told, and what comes out of it. */
export interface ActionKinds {
  readonly stage: { readonly ask: StageAsk; readonly result: readonly StageOutcome[] }
  readonly pin: { readonly ask: ImagesAsk; readonly result: readonly PinResult[] }
  readonly unpin: { readonly ask: ImagesAsk; readonly result: readonly UnpinResult[] }
  readonly recheck: { readonly ask: ImagesAsk; readonly result: readonly RecheckResult[] }
  readonly convert: { readonly ask: ImagesAsk; readonly result: readonly ConvertAgainResult[] }
  readonly remove: { readonly ask: ImagesAsk; readonly result: readonly RemoveResult[] }
  readonly signatures: { readonly ask: ImagesAsk; readonly result: readonly SignaturesResult[] }
  readonly gc: { readonly ask: CollectAsk; readonly result: CollectResult }
  readonly verify: { readonly ask: VerifyAsk; readonly result: VerifyResult }
}

export type ActionName = keyof ActionKinds
export type AskOf<N extends ActionName> = ActionKinds[N]['ask']
export type ResultOf<N extends ActionName> = ActionKinds[N]['result']

/** Whoever looks on. */
export type Watch = VerifyWatch

interface Action<A, R> {
  /** Throws `requestInvalid`. */
  readonly parse: (body: unknown) => A
  /** What it is about, for people. */
  readonly subject: (ask: A) => string
  /** Throws `requestInvalid` for what could never be done, before anything begins. */
  readonly check?: (deps: ActionDeps, ask: A) => void
  readonly run: (deps: ActionDeps, ask: A, watch: Watch) => Promise<R>
}

const ACTIONS: { readonly [N in ActionName]: Action<AskOf<N>, ResultOf<N>> } = {
  stage: { parse: parseStageAsk, subject: stageSubject, run: stage },
  pin: { parse: parseImagesAsk, subject: imagesSubject, run: pin },
  unpin: { parse: parseImagesAsk, subject: imagesSubject, run: unpin },
  recheck: { parse: parseImagesAsk, subject: imagesSubject, check: checkRecheck, run: recheck },
  convert: {
    parse: parseImagesAsk,
    subject: imagesSubject,
    check: checkConvertAgain,
    run: convertAgain,
  },
  remove: { parse: parseImagesAsk, subject: imagesSubject, check: checkRemove, run: remove },
  signatures: {
    parse: parseImagesAsk,
    subject: imagesSubject,
    check: checkSignatures,
    run: signatures,
  },
  gc: { parse: parseCollectAsk, subject: () => 'the store', run: collect },
  verify: { parse: parseVerifyAsk, subject: ({ image = 'the store' }) => image, run: verify },
}

/** The actions on one store. */
export class Actions {
  readonly names: readonly string[] = Object.keys(ACTIONS)
  readonly #deps: ActionDeps

  constructor(deps: ActionDeps) {
    this.#deps = deps
  }

  has(name: string): name is ActionName {
    return Object.hasOwn(ACTIONS, name)
  }

  async run<N extends ActionName>(name: N, ask: AskOf<N>, watch: Watch = {}): Promise<ResultOf<N>> {
    return await ACTIONS[name].run(this.#deps, ask, watch)
  }

  /** Out of what somebody has sent. Throws `requestInvalid`, also for names of images that are none. */
  prepare<N extends ActionName>(name: N, body: unknown) {
    const action = ACTIONS[name]
    const ask = action.parse(body)
    for (const text of namesIn(ask)) this.#deps.parseImage(text)
    action.check?.(this.#deps, ask)
    return {
      subject: action.subject(ask),
      run: (tell: (progress: TaskProgress) => void) =>
        action.run(this.#deps, ask, {
          read: (bytes, total) => tell({ bytes, total: total ?? null }),
        }),
    }
  }
}

function namesIn(ask: StageAsk | ImagesAsk | CollectAsk | VerifyAsk): readonly string[] {
  if ('images' in ask) return ask.images.map((one) => (typeof one === 'string' ? one : one.image))
  return 'image' in ask && ask.image !== undefined ? [ask.image] : []
}

function stageSubject({ images }: StageAsk): string {
  return imagesSubject({ images: images.map(({ image }) => image) })
}

function imagesSubject({ images }: ImagesAsk): string {
  const [first] = images
  if (first === undefined) throw new CrossdockError('requestInvalid', 'no image is named')
  return images.length === 1 ? first : `${first} and ${images.length - 1} more`
}
