/** Objects of one bucket below one prefix: what the store needs of S3, and nothing else of it (ADR 33 lists its semantics). */
import { Readable } from 'node:stream'
import type { S3Client } from '@aws-sdk/client-s3'
import { CrossdockError } from '../../errors.ts'
import { within } from '../../lib/within.ts'
import type { ByteRange } from '../../ports/blobs.ts'
import type { Use } from '../doubts.ts'
import type { Reach } from '../reach.ts'
import type { S3Limits, S3Place } from './place.ts'
import { type Removal, remove } from './removal.ts'
import {
  Asking,
  type Condition,
  headersOf,
  named,
  type ObjectStat,
  type Part,
  SIGNED,
  type Signal,
  signedWith,
  statIn,
  type Upload,
} from './requests.ts'
import { isGone, isPassingFailure, isRefusal, s3Failure } from './s3-failures.ts'
import { checkRegion, createClient, loadPresigner, loadSdk, type Sdk } from './sdk.ts'

export interface ListedObject extends ObjectStat {
  /** Without the store's prefix. */
  readonly key: string
}

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
  readonly #asking: Asking

  private constructor(sdk: Sdk, place: S3Place, limits: S3Limits, reach: Reach | undefined) {
    this.#sdk = sdk
    this.place = place
    this.#limits = limits
    this.#client = createClient(sdk, place, limits)
    this.#asking = new Asking(place, reach)
  }

  /** Throws where the bucket cannot be used at all. */
  static async open(place: S3Place, limits: S3Limits, reach?: Reach): Promise<Objects> {
    const objects = new Objects(await loadSdk(), place, limits, reach)
    await checkRegion(objects.#client, place)
    await objects.check()
    return objects
  }

  /** Throws where the bucket cannot be used; what takes longer than `ms` counts as that. */
  async check(ms: number = this.#limits.answerMs): Promise<void> {
    const { bucket: Bucket } = this.place
    const look = new this.#sdk.HeadBucketCommand({ Bucket })
    const list = new this.#sdk.ListObjectsV2Command({ Bucket, Prefix: this.#key(''), MaxKeys: 1 })
    try {
      await this.#ask('use the bucket', (signal) => this.#client.send(look, signal), 'looks', ms)
    } catch (error) {
      // An answer to HEAD has no words that say why.
      if (!isPassingFailure(error)) {
        await this.#ask('use the bucket', (signal) => this.#client.send(list, signal), 'looks', ms)
      }
      throw error
    }
  }

  async stat(key: string): Promise<ObjectStat | undefined> {
    const command = new this.#sdk.HeadObjectCommand(this.#at(key))
    const found = await this.#find(`look at ${key}`, (signal) => this.#client.send(command, signal))
    return found && statIn(found)
  }

  /** From which whoever has it may GET an object, if the request begins within so many seconds. */
  async address(key: string, seconds: number): Promise<URL> {
    const { getSignedUrl } = await loadPresigner()
    const command = new this.#sdk.GetObjectCommand(this.#at(key))
    try {
      const signingDate = new Date(Date.now() + this.#client.config.systemClockOffset)
      const options = { expiresIn: seconds, signingDate }
      return new URL(await getSignedUrl(this.#client, command, options))
    } catch (error) {
      throw s3Failure(`sign the address of ${key}`, this.place, error)
    }
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
    if (sha256 !== undefined) command.middlewareStack.add(signedWith(sha256), SIGNED)
    const ms = this.#limits.answerMs + Buffer.byteLength(bytes) / SLOWEST_BYTES_PER_MS
    return await this.#unlessRefused(`write ${key}`, condition.kind !== 'none', () =>
      this.#asking.inTime('writes', ms, (signal) => this.#client.send(command, signal)),
    )
  }

  /** Begins an object that comes in parts, of which nobody sees anything before it is completed. */
  async beginUpload(key: string): Promise<Upload> {
    const command = new this.#sdk.CreateMultipartUploadCommand(this.#at(key))
    const doing = `begin the upload of ${key}`
    const { UploadId: id } = await this.#ask(doing, (s) => this.#client.send(command, s), 'writes')
    if (id === undefined) throw s3Failure(doing, this.place, named('NoSuchUpload', key))
    return { key, id }
  }

  /** `number`: from 1. `sha256`: of the bytes, hex. Says what completing it will name. */
  async putPart(
    { key, id: UploadId }: Upload,
    { number: PartNumber, bytes: Body, sha256 }: Part,
    ended: AbortSignal,
  ): Promise<string> {
    const command = new this.#sdk.UploadPartCommand({
      ...this.#at(key),
      ...{ UploadId, PartNumber, Body, ContentLength: Body.byteLength },
    })
    command.middlewareStack.add(signedWith(sha256), SIGNED)
    const ms = this.#limits.answerMs + Body.byteLength / SLOWEST_BYTES_PER_MS
    try {
      const { ETag } = await this.#asking.inTime(
        'writes',
        ms,
        (signal) => this.#client.send(command, signal),
        ended,
      )
      return ETag ?? ''
    } catch (error) {
      throw s3Failure(`upload ${key}`, this.place, error)
    }
  }

  /** Parts in order, by their ETags. False when there is such an object already. */
  async completeUpload({ key, id }: Upload, etags: readonly string[]): Promise<boolean> {
    const command = new this.#sdk.CompleteMultipartUploadCommand({
      ...this.#at(key),
      UploadId: id,
      MultipartUpload: { Parts: etags.map((ETag, i) => ({ ETag, PartNumber: i + 1 })) },
      IfNoneMatch: '*',
    })
    // Some put the parts together in that time.
    const ms = this.#limits.answerMs + (etags.length * this.partSize) / SLOWEST_BYTES_PER_MS
    return await this.#unlessRefused(`upload ${key}`, true, () =>
      this.#asking.inTime('writes', ms, (signal) => this.#client.send(command, signal)),
    )
  }

  async abortUpload({ key, id }: Upload): Promise<void> {
    const command = new this.#sdk.AbortMultipartUploadCommand({ ...this.#at(key), UploadId: id })
    await this.#find(`abort the upload of ${key}`, (s) => this.#client.send(command, s), 'writes')
  }

  get partSize(): number {
    return this.#limits.partSize
  }

  /** False: there is another one than was to go. */
  async delete(key: string, removal: Removal = {}): Promise<boolean> {
    return await this.#unlessRefused(`delete ${key}`, removal.etag !== undefined, () =>
      this.#asking.inTime('writes', this.#limits.answerMs, (signal) =>
        remove(this.#sdk, this.#client, this.#at(key), removal, signal),
      ),
    )
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

  /**
   * Uploads that are neither completed nor aborted, and when they began, ms since 1970. Pages follow each other by keys alone, for some
   * servers refuse the second marker, that of the upload: where a page ends within a key, others of that key are left out until
   * those before them are gone.
   */
  async *listUploads(): AsyncGenerator<Upload & { readonly beganAt: number }> {
    const under = this.#key('')
    const query = { Bucket: this.place.bucket, Prefix: under, MaxUploads: this.#limits.page }
    for (let KeyMarker: string | undefined; ; ) {
      const command = new this.#sdk.ListMultipartUploadsCommand({ ...query, KeyMarker })
      const page = await this.#ask('list uploads', (signal) => this.#client.send(command, signal))
      for (const { Key, UploadId: id, Initiated } of page.Uploads ?? []) {
        if (Key === undefined || id === undefined || Initiated === undefined) continue
        yield { key: Key.slice(under.length), id, beganAt: Initiated.getTime() }
      }
      // A server that says where it was asked to begin would be asked for ever.
      if (page.IsTruncated !== true || page.NextKeyMarker === KeyMarker) return
      KeyMarker = page.NextKeyMarker
    }
  }

  [Symbol.dispose](): void {
    this.#asking.end()
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
      const what = `${key} is not in the store; pull it through its repository`
      throw new CrossdockError('blobUnknown', what)
    }
    const isPart = answer.ContentRange?.startsWith(`bytes ${start}-`) ?? start === 0
    if (answer.Body instanceof Readable && isPart) return answer.Body
    throw named('InvalidRange', `${key} came from another place on than was asked for`)
  }

  /** `undefined` where there is no such object. */
  async #find<T>(
    doing: string,
    ask: (options: Signal) => Promise<T>,
    use: Use = 'reads',
  ): Promise<T | undefined> {
    try {
      return await this.#asking.inTime(use, this.#limits.answerMs, ask)
    } catch (error) {
      if (isGone(error)) return undefined
      throw s3Failure(doing, this.place, error)
    }
  }

  async #ask<T>(
    doing: string,
    ask: (options: Signal) => Promise<T>,
    use: Use = 'reads',
    ms: number = this.#limits.answerMs,
  ): Promise<T> {
    try {
      return await this.#asking.inTime(use, ms, ask)
    } catch (error) {
      throw s3Failure(doing, this.place, error)
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
