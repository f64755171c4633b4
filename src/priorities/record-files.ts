/** What a record may lie in: the file as it is, or packed into a tar of any compression, as record images hold it. */
import { gzip } from '../codec/gzip.ts'
import { zstd } from '../codec/zstd.ts'
import { CrossdockError } from '../errors.ts'
import { parseRecord, RECORD_NAME, type RecordLine } from '../format/priorities.ts'
import { type ByteStream, collect, limit, peek } from '../lib/streams.ts'
import { AmbiguousTarError, cleanName } from '../tar/entry.ts'
import { readTar } from '../tar/reader.ts'
import { MAX_LIST_BYTES } from './stored-lists.ts'

/** Larger than any magic number and any blank space in front of the first object. */
const HEAD_SIZE = 64

const LIMITS = { maxOutput: MAX_LIST_BYTES, maxWindowLog: 27 }

/** Throws `badManifest` for what is no record, with the reason; `what` names it in messages. */
export async function readRecord(bytes: ByteStream, what: string): Promise<readonly RecordLine[]> {
  try {
    const { head, rest } = await peek(decompress(bytes), HEAD_SIZE)
    const text = isText(head) ? await collect(rest, MAX_LIST_BYTES) : await unpack(rest)
    if (text === undefined) throw notARecord(what, `it holds no ${RECORD_NAME}`)
    return parseRecord(Buffer.from(text).toString())
  } catch (error) {
    if (error instanceof AmbiguousTarError) throw notARecord(what, error.message, error)
    if (!(error instanceof CrossdockError) || error.reason !== 'record') throw error
    throw notARecord(what, error.message, error)
  }
}

async function* decompress(bytes: ByteStream): AsyncGenerator<Uint8Array> {
  const { head, rest } = await peek(bytes, HEAD_SIZE)
  const codec = [gzip, zstd].find((one) => one.matches(head))
  yield* codec === undefined ? limit(rest, MAX_LIST_BYTES, tooLarge) : codec.decode(rest, LIMITS)
}

function isText(head: Uint8Array): boolean {
  const text = Buffer.from(head).toString().trimStart()
  return text === '' || text.startsWith('{')
}

/** The record's bytes; `undefined` when the tar has none. */
async function unpack(tar: ByteStream): Promise<Uint8Array | undefined> {
  const parts: Uint8Array[] = []
  let isFound = false
  let isRecord = false
  for await (const event of readTar(tar)) {
    if (event.kind === 'entry') {
      isRecord = !isFound && cleanName(event.entry.name) === RECORD_NAME
      isFound ||= isRecord
    }
    if (event.kind === 'data' && isRecord) parts.push(event.bytes)
  }
  return isFound ? Buffer.concat(parts) : undefined
}

function tooLarge(): CrossdockError {
  return new CrossdockError(
    'badManifest',
    `a record is larger than ${MAX_LIST_BYTES} bytes; is it the right one?`,
    { reason: 'record' },
  )
}

function notARecord(what: string, why: string, cause?: unknown): CrossdockError {
  return new CrossdockError(
    'badManifest',
    `${what} is no priority list: ${why}; make one with "crossdock record export" or "ctr-remote image optimize --record-out"`,
    { cause, reason: 'record' },
  )
}

/** How a record in the configuration says that it is a file and no reference. */
export function isRecordPath(text: string): boolean {
  return /^\.{0,2}\//.test(text)
}
