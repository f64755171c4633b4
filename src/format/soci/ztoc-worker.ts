/** Worker thread: one ztoc, of a layer that comes in messages; `undefined` ends it. */
import { parentPort, workerData } from 'node:worker_threads'
import { DecodeError } from '../../codec/failure.ts'
import { ZtocMaker, type ZtocRequest } from './ztoc.ts'
import type { ZtocReply } from './ztoc-thread.ts'

const maker = new ZtocMaker(workerData as ZtocRequest)

parentPort?.on('message', (bytes: Uint8Array | undefined) => {
  try {
    if (bytes === undefined) finish()
    else work(bytes)
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error
    reply({ kind: 'failed', error: error.plain })
    parentPort?.close()
  }
})

function work(bytes: Uint8Array): void {
  maker.push(bytes)
  reply({ kind: 'worked', bytes: bytes.byteLength, unpacked: maker.unpacked })
}

function finish(): void {
  const outcome = maker.finish()
  const { ztoc } = outcome
  const buffers = ztoc.kind === 'made' ? ztoc.parts.map(({ buffer }) => buffer) : []
  reply({ kind: 'outcome', unpacked: maker.unpacked, outcome }, [
    ...new Set(buffers),
  ] as ArrayBuffer[])
  parentPort?.close()
}

function reply(message: ZtocReply, transfer: readonly ArrayBuffer[] = []): void {
  parentPort?.postMessage(message, transfer)
}
