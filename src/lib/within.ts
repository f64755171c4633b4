/** Promises that are not waited for beyond a time. */

/** The value when it is there within `ms`, else `undefined`; a failure is thrown in time, too. */
export async function within<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, ms, undefined)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/** How late a timer may come without a reason beyond itself, ms. */
const LATE_MS = 500

/**
 * Calls `late` after `ms` through which the process ran: one that was stopped or starved heard nobody meanwhile, so that the time
 * begins again. Returns what ends it.
 */
export function afterRunning(ms: number, late: () => void): () => void {
  let due = performance.now() + ms
  const timer = setTimeout(() => {
    if (performance.now() <= due + LATE_MS) return late()
    due = performance.now() + ms
    timer.refresh()
  }, ms)
  return () => clearTimeout(timer)
}
