/** Worker thread: reads a whole catalog once, so that the event loop goes on serving meanwhile. */
import { parentPort, workerData } from 'node:worker_threads'
import { isSoundCatalog } from './catalog-check.ts'

parentPort?.postMessage(isSoundCatalog(workerData as string, true))
