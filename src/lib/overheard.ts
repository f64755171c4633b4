/** Events that are told to somebody else as well: what logs and counts them knows nothing of who looks on. */

/** Those functions of `T` that a listener wants to hear of. */
export type Listening<T> = {
  readonly [K in keyof T]?: T[K] extends (...args: infer A) => void ? (...args: A) => void : never
}

type Tell = (...args: readonly unknown[]) => void

/** The same events; `listener` hears of each after it was told. */
export function overheard<T extends object>(events: T, listener: Listening<T>): T {
  const heard = Object.entries(listener).map(([name, hear]) => {
    const tell = Reflect.get(events, name) as Tell
    const both: Tell = (...args) => {
      tell(...args)
      const listen = hear as Tell
      listen(...args)
    }
    return [name, both]
  })
  return { ...events, ...Object.fromEntries(heard) }
}
