/** Objects of one bucket below one prefix: what the store needs of S3, and nothing else of it (ADR 33 lists its semantics). */
import { createReadStream } from 'node:fs'
import { Readable } from 'node:stream'
import type {
  DeleteObjectCommand,
  HeadObjectCommandOutput,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import { CrossdockError } from '../../errors.ts'
import { within } from '../../lib/within.ts'
import type { ByteRange, MayGo } from '../../ports/blobs.ts'
import { nameOf, type S3Limits, type S3Place } from './place.ts'
import { isGone, isPassingFailure, isRefusal, s3Failure } from './s3-failures.ts'
import { createClient, loadSdk, type Sdk } from './sdk.ts'

export interface ObjectStat {
  /** Bytes. */
  readonly size: number
  readonly etag: string
  /** When it was put there by S3's clock, ms since 1970. */
  readonly modifiedAt: number
}

export interface ListedObject extends ObjectStat {
  /** Without the store's prefix. */
  readonly key: string
}

/** What must hold for a write to happen; S3 decides that in one step with the write. */
export type Condition =
  | { readonly kind: 'none' }
  | { readonly kind: 'absent' }
  | { readonly kind: 'unchanged'; readonly etag: string }

/** Parts of one object that are under way at a time: bounds memory to this many parts. */
const PARTS_AT_ONCE = 4

/** S3 takes no more than 10,000. */
const MAX_PARTS = 9_000

/** How often a read is taken up again that brought no byte since it last was. */
const RESUMES = 3

/** Between two of them, ms, at first. */
const RESUME_MS = 100

/** Of an upload that is not given up, beside what any answer may take. */
const SLOWEST_BYTES_PER_MS = 64

export class Objects implements Disposable {
  readonly place: S3Place
  readonly #sdk: Sdk
  readonly #client: S3Client
  readonly #limits: S3Limits

  private constructor(sdk: Sdk, place: S3Place, limits: S3Limits) {
    this.#sdk = sdk
    this.place = place
    this.#limits = limits
    this.#client = createClient(sdk, place, limits)
  }

  /** Throws where the bucket cannot be used at all. */
  static async open(place: S3Place, limits: S3Limits): Promise<Objects> {
    const objects = new Objects(await loadSdk(), place, limits)
    await objects.#checkRegion()
    await objects.check()
    return objects
  }

  /** Throws where the bucket cannot be used; what takes longer than `ms` counts as that. */
  async check(ms: number = this.#limits.answerMs): Promise<void> {
    const command = new this.#sdk.HeadBucketCommand({ Bucket: this.place.bucket })
    await this.#ask('use the bucket', (signal) => this.#client.send(command, signal), ms)
  }

  async stat(key: string): Promise<ObjectStat | undefined> {
    const command = new this.#sdk.HeadObjectCommand(this.#at(key))
    const found = await this.#find(`look at ${key}`, (signal) => this.#client.send(command, signal))
    return found && statIn(found)
  }

  /** A small object as text, with the ETag that a change of it is bound to. */
  async text(key: string): Promise<{ readonly text: string; readonly etag: string } | undefined> {
    const command = new this.#sdk.GetObjectCommand(this.#at(key))
    return await this.#find(`read ${key}`, async (signal) => {
      const { Body, ETag } = await this.#client.send(command, signal)
      return { text: (await Body?.transformToString()) ?? '', etag: ETag ?? '' }
    })
  }

  /**
   * Bytes of a part of an object, taken up again where a connection breaks. Throws `blobUnknown` when it is gone, or is not the one
   * with this ETag any more.
   */
  async *read(key: string, range: ByteRange, etag: string): AsyncGenerator<Uint8Array> {
    let position = range.start
    for (let failures = 0; position < range.end; ) {
      try {
        for await (const chunk of this.#readOnce(key, { start: position, end: range.end }, etag)) {
          position += chunk.byteLength
          failures = 0
          yield chunk
        }
      } catch (error) {
        failures += 1
        if (!isPassingFailure(error) || failures > RESUMES) {
          throw s3Failure(`read ${key}`, this.place, error)
        }
        await new Promise((resolve) => setTimeout(resolve, RESUME_MS * 2 ** failures))
      }
    }
  }

  /** False when the condition does not hold (any more). `sha256`: of the bytes, hex, where it is known; S3 compares it. */
  async put(
    key: string,
    bytes: Uint8Array | string,
    condition: Condition,
    sha256?: string,
  ): Promise<boolean> {
    const command = new this.#sdk.PutObjectCommand({
      ...this.#at(key),
      Body: bytes,
      ContentLength: Buffer.byteLength(bytes),
      ...headersOf(condition),
    })
    if (sha256 !== undefined) signWith(command, sha256)
    const ms = this.#limits.answerMs + Buffer.byteLength(bytes) / SLOWEST_BYTES_PER_MS
    return await this.#unlessRefused(`write ${key}`, condition.kind !== 'none', () =>
      inTime(ms, (signal) => this.#client.send(command, signal)),
    )
  }

  /** A file in parts, which nobody sees before the last of them is there. False when there is such an object already. */
  async upload(key: string, path: string, size: number): Promise<boolean> {
    const upload = new this.#sdk.Upload({
      client: this.#client,
      params: { ...this.#at(key), Body: createReadStream(path), IfNoneMatch: '*' },
      partSize: Math.max(this.#limits.partSize, Math.ceil(size / MAX_PARTS)),
      queueSize: PARTS_AT_ONCE,
      leavePartsOnError: false,
    })
    // Takes as long as it takes; a socket that stands still is given up by the client.
    return await this.#unlessRefused(`upload ${key}`, true, () => upload.done())
  }

  get partSize(): number {
    return this.#limits.partSize
  }

  /** `mayGo` throws when the object is to stay after all; it is asked before each try, for the process may have stood still meanwhile. */
  async delete(key: string, mayGo?: MayGo): Promise<void> {
    const command = new this.#sdk.DeleteObjectCommand(this.#at(key))
    if (mayGo !== undefined) guardTries(command, mayGo)
    await this.#ask(`delete ${key}`, (signal) => this.#client.send(command, signal))
  }

  /** Those whose keys begin so, sorted by key. */
  async *list(under: string): AsyncGenerator<ListedObject> {
    const start = this.#key('').length
    const query = { Bucket: this.place.bucket, Prefix: this.#key(under) }
    for (let token: string | undefined; ; ) {
      const command = new this.#sdk.ListObjectsV2Command({
        ...query,
        ...(token !== undefined && { ContinuationToken: token }),
      })
      const page = await this.#ask(`list ${under}`, (signal) => this.#client.send(command, signal))
      for (const { Key, Size = 0, ETag = '', LastModified } of page.Contents ?? []) {
        if (Key === undefined) continue
        const modifiedAt = LastModified?.getTime() ?? 0
        yield { key: Key.slice(start), size: Size, etag: ETag, modifiedAt }
      }
      token = page.NextContinuationToken
      if (page.IsTruncated !== true || token === undefined) return
    }
  }

  /** Gives up uploads that began before a time, ms since 1970: whoever did has died. Says how many. */
  async abortUploads(before: number): Promise<number> {
    const { bucket: Bucket } = this.place
    const command = new this.#sdk.ListMultipartUploadsCommand({ Bucket, Prefix: this.#key('') })
    const { Uploads = [] } = await this.#ask('list uploads', (signal) =>
      this.#client.send(command, signal),
    )
    const old = Uploads.filter(({ Initiated }) => (Initiated?.getTime() ?? before) < before)
    for (const { Key, UploadId } of old) {
      const abort = new this.#sdk.AbortMultipartUploadCommand({ Bucket, Key, UploadId })
      await this.#find(`abort the upload of ${Key}`, (signal) => this.#client.send(abort, signal))
    }
    return old.length
  }

  [Symbol.dispose](): void {
    this.#client.destroy()
  }

  async *#readOnce(key: string, range: ByteRange, etag: string): AsyncGenerator<Uint8Array> {
    const body = await this.#body(key, range, etag)
    const { idleMs } = this.#limits
    try {
      let missing = range.end - range.start
      for (const chunks = body[Symbol.asyncIterator](); missing > 0; ) {
        const next = await within(Promise.resolve(chunks.next()), idleMs)
        if (next === undefined) throw named('TimeoutError', `${key} stands still`)
        if (next.done === true) throw named('ECONNRESET', `${key} ended early`)
        const bytes: Uint8Array = next.value
        missing -= bytes.byteLength
        yield bytes
      }
    } finally {
      body.destroy()
    }
  }

  async #body(key: string, { start, end }: ByteRange, etag: string) {
    const command = new this.#sdk.GetObjectCommand({
      ...this.#at(key),
      Range: `bytes=${start}-${end - 1}`,
      IfMatch: etag,
    })
    const answer = await this.#find(`read ${key}`, (signal) => this.#client.send(command, signal))
    if (answer === undefined) {
      const where = `${key} is not in ${nameOf(this.place)}`
      throw new CrossdockError('blobUnknown', `${where}; pull it through its repository`)
    }
    const isPart = answer.ContentRange?.startsWith(`bytes ${start}-`) ?? start === 0
    if (answer.Body instanceof Readable && isPart) return answer.Body
    throw named('InvalidRange', `${key} came from another place on than was asked for`)
  }

  async #checkRegion(): Promise<void> {
    try {
      await this.#client.config.region()
    } catch (cause) {
      throw new CrossdockError(
        'internal',
        `it is not said in which region ${nameOf(this.place)} lies; set region in store.blobs or AWS_REGION`,
        { cause, reason: 's3-region' },
      )
    }
  }

  /** `undefined` where there is no such object. */
  async #find<T>(doing: string, ask: (options: Signal) => Promise<T>): Promise<T | undefined> {
    try {
      return await inTime(this.#limits.answerMs, ask)
    } catch (error) {
      if (isGone(error)) return undefined
      throw s3Failure(doing, this.place, error)
    }
  }

  async #ask<T>(
    doing: string,
    ask: (options: Signal) => Promise<T>,
    ms: number = this.#limits.answerMs,
  ): Promise<T> {
    try {
      return await inTime(ms, ask)
    } catch (error) {
      // A HEAD has no body that would say what is not there.
      const cause = isGone(error) ? named('NoSuchBucket', doing) : error
      throw s3Failure(doing, this.place, cause)
    }
  }

  /** False where the condition of a write did not hold. */
  async #unlessRefused(doing: string, isBound: boolean, write: () => Promise<unknown>) {
    try {
      await write()
      return true
    } catch (error) {
      if (isBound && isRefusal(error)) return false
      throw s3Failure(doing, this.place, error)
    }
  }

  #at(key: string): { readonly Bucket: string; readonly Key: string } {
    return { Bucket: this.place.bucket, Key: this.#key(key) }
  }

  #key(key: string): string {
    return this.place.prefix === '' ? key : `${this.place.prefix}/${key}`
  }
}

interface Signal {
  readonly abortSignal: AbortSignal
}

/** The signature's hash of the body, which costs as much as the rest of an upload. */
function signWith(command: PutObjectCommand, sha256: string): void {
  command.middlewareStack.add(
    (next) => (args) => {
      const { request } = args
      if (typeof request === 'object' && request !== null && 'headers' in request) {
        Object.assign(request.headers as object, { 'x-amz-content-sha256': sha256 })
      }
      return next(args)
    },
    { step: 'build', name: 'knownPayloadHash' },
  )
}

/** Nothing is sent, the first time and after failures, before `mayGo` has returned. */
function guardTries(command: DeleteObjectCommand, mayGo: MayGo): void {
  command.middlewareStack.add(
    (next) => (args) => {
      mayGo()
      return next(args)
    },
    { step: 'finalizeRequest', priority: 'low', name: 'mayGo' },
  )
}

/** Ends what takes longer. What it has answered by then, a body say, is not cut. */
async function inTime<T>(ms: number, ask: (options: Signal) => Promise<T>): Promise<T> {
  const abort = new AbortController()
  const timer = setTimeout(() => abort.abort(), ms)
  try {
    return await ask({ abortSignal: abort.signal })
  } finally {
    clearTimeout(timer)
  }
}

function statIn(found: HeadObjectCommandOutput): ObjectStat {
  const { ContentLength = 0, ETag = '', LastModified } = found
  return { size: ContentLength, etag: ETag, modifiedAt: LastModified?.getTime() ?? 0 }
}

function headersOf(condition: Condition): { IfNoneMatch?: string; IfMatch?: string } {
  if (condition.kind === 'absent') return { IfNoneMatch: '*' }
  return condition.kind === 'unchanged' ? { IfMatch: condition.etag } : {}
}

function named(name: string, message: string): Error {
  return Object.assign(new Error(message), { name })
}
