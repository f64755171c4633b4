/** The live list of conversions as server-sent events: each job once, whatever happens to it while a listener reads slowly. */
import type { Jobs } from '../admin/whole.ts'
import type { Job } from '../convert/progress.ts'
import { printableJson } from '../lib/printable.ts'

/** How often a listener that sees nothing happen is told so, ms. */
const SSE_PING_MS = 15_000

/** Until `over`. */
export async function* jobEvents(progress: Jobs, over: AbortSignal): AsyncGenerator<Uint8Array> {
  const queue = new Map(progress.list().map((job) => [job.id, job]))
  let wake: () => void = () => undefined
  const wakeUp = () => wake()
  const stop = progress.subscribe((job) => {
    queue.set(job.id, job)
    wake()
  })
  over.addEventListener('abort', wakeUp)
  try {
    while (!over.aborted) {
      const [job] = queue.values()
      if (job !== undefined) {
        queue.delete(job.id)
        yield Buffer.from(`event: conversion\ndata: ${printableJson(describeJob(job))}\n\n`)
        continue
      }
      const isQuiet = await new Promise<boolean>((resolve) => {
        const timer = setTimeout(resolve, SSE_PING_MS, true)
        wake = () => {
          clearTimeout(timer)
          resolve(false)
        }
      })
      if (isQuiet) yield Buffer.from('event: ping\ndata: \n\n')
    }
  } finally {
    over.removeEventListener('abort', wakeUp)
    stop()
  }
}

export function describeJob(job: Job) {
  const end = job.endedAt ?? Date.now()
  return { ...job, seconds: Math.max(0, end - job.startedAt) / 1000 }
}
