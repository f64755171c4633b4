/**
 * A file on its way to S3 in parts, also while it still grows. Nobody sees any of it before `finish`, which is for whoever knows
 * that all of it is there and right.
 */
import { open } from 'node:fs/promises'
import type { Semaphore } from '../../lib/semaphore.ts'
import type { Objects } from './objects.ts'
import type { Upload } from './requests.ts'
import type { PartBuffers } from './part-buffers.ts'

/** S3 takes no more than 10,000. */
const MAX_PARTS = 9_000

export interface UploadTask {
  readonly objects: Objects
  readonly key: string
  readonly path: string
  /** Bytes that the file will have in the end. */
  readonly size: number
  /** Places for parts of all uploads together: each takes memory for itself. */
  readonly parts: Semaphore
  readonly buffers: PartBuffers
}

export class GrowingUpload {
  readonly #task: UploadTask
  readonly #partSize: number
  readonly #abort = new AbortController()
  #upload: Promise<Upload> | undefined
  /** ETags of those that went or go, in order. */
  readonly #parts: Promise<string>[] = []

  constructor(task: UploadTask) {
    this.#task = task
    this.#partSize = Math.max(task.objects.partSize, Math.ceil(task.size / MAX_PARTS))
  }

  /** So many bytes are in the file by now: the parts that they fill go. */
  grew(bytes: number): void {
    while (!this.#abort.signal.aborted && this.#sent < this.#task.size) {
      const end = Math.min(this.#sent + this.#partSize, this.#task.size)
      if (end > bytes) return
      const part = this.#send(this.#parts.length + 1, this.#sent, end - this.#sent)
      // Told by `finish`; until then nothing more is sent in vain.
      part.catch(() => this.#abort.abort())
      this.#parts.push(part)
    }
  }

  /** The whole file is there and right. False when there is such an object already; unless true, what went is given up. */
  async finish(): Promise<boolean> {
    let isDone = false
    try {
      this.grew(this.#task.size)
      const etags = await Promise.all(this.#parts)
      isDone = await this.#task.objects.completeUpload(await this.#begun(), etags)
    } finally {
      // S3 keeps the parts of what it refused to put together, and counts them.
      if (!isDone) await this.abort()
    }
    return isDone
  }

  /** Gives it up, with what went of it. Never rejects: what is left is aborted with other stale uploads. */
  async abort(): Promise<void> {
    this.#abort.abort()
    await Promise.allSettled(this.#parts)
    try {
      if (this.#upload !== undefined) await this.#task.objects.abortUpload(await this.#upload)
    } catch {}
  }

  get #sent(): number {
    return this.#parts.length * this.#partSize
  }

  #begun(): Promise<Upload> {
    this.#upload ??= this.#task.objects.beginUpload(this.#task.key)
    return this.#upload
  }

  async #send(number: number, position: number, length: number): Promise<string> {
    const { objects, parts, path, buffers } = this.#task
    const upload = await this.#begun()
    return await parts.run(async () => {
      this.#abort.signal.throwIfAborted()
      await using file = await open(path)
      return await buffers.lend(file, position, length, (part) =>
        objects.putPart(upload, { number, ...part }, this.#abort.signal),
      )
    })
  }
}
