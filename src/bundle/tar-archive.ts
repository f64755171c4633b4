/** Tar archives as streams: entries in, bytes out, and back. */
import { CrossdockError } from '../errors.ts'
import type { ByteStream } from '../lib/streams.ts'
import { type Entry, type FileEntry, resolveLink } from './entry.ts'
import {
  BLOCK,
  formatHeader,
  parseDecimal,
  parseHeader,
  parsePax,
  sparse,
  type TarHeader,
  text,
} from './tar-header.ts'

/** PAX headers are a few hundred bytes; those with attributes of files may have more. */
const MAX_EXTENSION = 1024 * 1024
/** Linux's PATH_MAX: longer names lead to nothing that could be unpacked. */
const MAX_NAME = 4096
/** Headers before that of an entry: a long name, a long link and attributes are three. */
const MAX_EXTENSIONS = 16
/** Zeros behind the end, as far as any tool fills its last block. */
const MAX_TAIL = 64 * 1024 * 1024

/** Writes files in the order given, each folder before the first file in it. */
export async function* writeTar(files: AsyncIterable<FileEntry>): AsyncGenerator<Uint8Array> {
  const folders = new Set<string>()
  for await (const file of files) {
    for (const folder of foldersOf(file.name)) {
      if (folders.has(folder)) continue
      folders.add(folder)
      yield formatHeader(folder, 0, '5')
    }
    yield formatHeader(file.name, file.size, '0')
    let written = 0
    for await (const chunk of file.read()) {
      written += chunk.byteLength
      yield chunk
    }
    if (written !== file.size) {
      throw new CrossdockError(
        'badSize',
        `${file.name} has ${written} bytes instead of ${file.size}; run crossdock verify`,
      )
    }
    yield new Uint8Array(padding(written))
  }
  yield new Uint8Array(2 * BLOCK)
}

function foldersOf(name: string): string[] {
  const parts = name.split('/').slice(0, -1)
  return parts.map((_, i) => `${parts.slice(0, i + 1).join('/')}/`)
}

function padding(size: number): number {
  return (BLOCK - (size % BLOCK)) % BLOCK
}

/**
 * Reads files and links, folders left out; what an entry's reader leaves is skipped. Reads to the very end, so that whoever
 * decompresses sees its own end, too. Throws `badManifest` for a damaged or truncated archive.
 */
export async function* readTar(bytes: ByteStream): AsyncGenerator<Entry> {
  const input = new Input(bytes)
  try {
    for (;;) {
      const next = await nextHeader(input)
      if (next === undefined) break
      checkNames(next)
      const body = new Body(input, next.size)
      const entry = entryOf(next, body)
      if (entry !== undefined) yield entry
      await body.skip()
      await input.skip(padding(next.size))
    }
    await input.drain(MAX_TAIL)
  } finally {
    await input.close()
  }
}

function checkNames({ name, linkName }: TarHeader): void {
  if (Math.max(name.length, linkName.length) > MAX_NAME) {
    throw damaged(`a name has more than ${MAX_NAME} characters`)
  }
  if (name.split('/').includes('..')) {
    throw damaged(`${JSON.stringify(name.slice(0, 200))} leads out of it`)
  }
}

function entryOf(header: TarHeader, body: Body): Entry | undefined {
  const name = header.name.replace(/^(?:\.?\/)+/, '')
  if (header.type === '0' && !name.endsWith('/')) {
    return { kind: 'file', name, size: header.size, read: () => body.read() }
  }
  if (header.type !== '1' && header.type !== '2') return undefined
  const target = resolveLink(name, header.linkName, header.type === '2')
  return target === undefined ? undefined : { kind: 'link', name, target }
}

/** The next real header, with what PAX and GNU headers before it say. */
async function nextHeader(input: Input): Promise<TarHeader | undefined> {
  let pax: ReadonlyMap<string, string> = new Map()
  const long: { name?: string; linkName?: string } = {}
  for (let extensions = 0; ; extensions += 1) {
    const header = parseHeader(await input.exactly(BLOCK))
    if (header === undefined) return undefined
    if (header.type === 'S') throw sparse()
    if (!'xgLK'.includes(header.type)) {
      const size = pax.get('size')
      return {
        type: header.type,
        size: size === undefined ? header.size : parseDecimal(size),
        name: pax.get('path') ?? long.name ?? header.name,
        linkName: pax.get('linkpath') ?? long.linkName ?? header.linkName,
      }
    }
    const isText = header.type === 'L' || header.type === 'K'
    if (header.size > (isText ? 4 * MAX_NAME : MAX_EXTENSION)) throw damaged('a header is too long')
    if (extensions === MAX_EXTENSIONS) throw damaged('an entry has too many headers')
    const content = await input.exactly(header.size)
    await input.skip(padding(header.size))
    if (header.type === 'x') pax = parsePax(content)
    if (header.type === 'L') long.name = text(content)
    if (header.type === 'K') long.linkName = text(content)
  }
}

/** One entry's content, read once or skipped. */
class Body {
  readonly #input: Input
  #left: number

  constructor(input: Input, size: number) {
    this.#input = input
    this.#left = size
  }

  async *read(): AsyncGenerator<Uint8Array> {
    while (this.#left > 0) {
      const chunk = await this.#input.atMost(this.#left)
      this.#left -= chunk.byteLength
      yield chunk
    }
  }

  async skip(): Promise<void> {
    while (this.#left > 0) this.#left -= (await this.#input.atMost(this.#left)).byteLength
  }
}

/** Bytes by count. */
class Input {
  readonly #chunks: AsyncIterator<Uint8Array>
  #chunk: Uint8Array = new Uint8Array()

  constructor(bytes: ByteStream) {
    this.#chunks = bytes[Symbol.asyncIterator]()
  }

  /** Between 1 and `count` bytes. */
  async atMost(count: number): Promise<Uint8Array> {
    if (!(await this.#fill())) throw damaged('it ends too early; it may be truncated')
    const part = this.#chunk.subarray(0, count)
    // Whoever waits for a part of a byte, or for no number of bytes, waits for ever.
    if (part.byteLength === 0) throw damaged(`an entry of ${count} bytes cannot be`)
    this.#chunk = this.#chunk.subarray(part.byteLength)
    return part
  }

  async exactly(count: number): Promise<Uint8Array> {
    const parts: Uint8Array[] = []
    for (let left = count; left > 0; ) {
      const part = await this.atMost(left)
      parts.push(part)
      left -= part.byteLength
    }
    return parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts)
  }

  async skip(count: number): Promise<void> {
    for (let left = count; left > 0; ) left -= (await this.atMost(left)).byteLength
  }

  /** Throws when more than `most` bytes come. */
  async drain(most: number): Promise<void> {
    for (let size = 0; await this.#fill(); this.#chunk = new Uint8Array()) {
      size += this.#chunk.byteLength
      if (size > most) throw damaged('it goes on behind its end')
    }
  }

  async close(): Promise<void> {
    await this.#chunks.return?.()
  }

  async #fill(): Promise<boolean> {
    while (this.#chunk.byteLength === 0) {
      const next = await this.#chunks.next()
      if (next.done) return false
      this.#chunk = next.value
    }
    return true
  }
}

function damaged(how: string): CrossdockError {
  return new CrossdockError(
    'badManifest',
    `the archive is damaged: ${how}; copy it again or make it again`,
    { reason: 'tar' },
  )
}
