/** Every value in a stream of YAML documents with its line: for files of other programs, of which we read a part. */
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseAllDocuments, type Scalar } from 'yaml'
import { YamlError } from './document.ts'

/** Of one document: the parser takes 150 times the memory and seconds a MiB; one resource of Kubernetes has 1.5 MiB at most. */
const MAX_DOCUMENT_BYTES = 4 * 2 ** 20
const MAX_DEPTH = 64
/** Brackets that are open at a time, and dashes in a row: the parser takes a stack and a KiB for each. Texts may have some. */
const MAX_OPEN = 10_000
const NESTED_DASHES = /(?:[-?][ \t]+){1000}/

export interface YamlMap {
  readonly line: number
  readonly entries: ReadonlyMap<string, YamlValue>
}

export interface YamlScalar {
  readonly line: number
  /** As it is written. */
  readonly text: string
}

export type YamlValue = YamlMap | YamlScalar

/** All maps of all documents, wherever they stand. Throws YamlError for what is no YAML. */
export function yamlMaps(name: string, text: string): YamlMap[] {
  return documentsOf(text).flatMap((document) => mapsOf(name, document))
}

interface DocumentText {
  readonly text: string
  /** Lines before it. */
  readonly line: number
}

/** Parsed one by one, since the parser holds all that it is given; `---` in the first column begins one, wherever it stands. */
function documentsOf(text: string): DocumentText[] {
  const found: DocumentText[] = []
  let begin = 0
  let line = 0
  for (const { index } of text.matchAll(/^---(?=\s)/gm)) {
    const part = text.slice(begin, index)
    // Comments and directives belong to what follows them.
    if (part.split('\n').every((one) => /^(?:%.*|\s*(?:#.*)?)$/.test(one))) continue
    found.push({ text: part, line })
    line += part.split('\n').length - 1
    begin = index
  }
  found.push({ text: text.slice(begin), line })
  return found
}

function mapsOf(name: string, { text, line }: DocumentText): readonly YamlMap[] {
  if (Buffer.byteLength(text) > MAX_DOCUMENT_BYTES) {
    throw new YamlError([`${name}:${line + 1}: a document of more than 4 MiB; split it with ---`])
  }
  if (openIn(text) > MAX_OPEN || NESTED_DASHES.test(text)) {
    throw new YamlError([`${name}:${line + 1}: nested too deeply`])
  }
  const lines = new LineCounter()
  const reader = new Reader((offset) => line + Math.max(1, lines.linePos(offset).line))
  // Looking for keys that are there twice takes quadratic time; of those the last one counts.
  const options = { lineCounter: lines, prettyErrors: false, uniqueKeys: false }
  const documents = parseAllDocuments(text, options)
  for (const document of Array.isArray(documents) ? documents : []) {
    const [mistake] = document.errors
    if (mistake !== undefined) {
      const isDeep = mistake.message.startsWith('Maximum call stack')
      const what = isDeep ? 'nested too deeply' : mistake.message
      throw new YamlError([`${name}:${reader.lineAt(mistake.pos[0])}: ${what}`])
    }
    reader.read(document.contents)
  }
  return reader.maps
}

/** The most brackets that are open anywhere. */
function openIn(text: string): number {
  let open = 0
  let most = 0
  for (const [bracket] of text.matchAll(/[[\]{}]/g)) {
    open = Math.max(0, open + (bracket === '[' || bracket === '{' ? 1 : -1))
    most = Math.max(most, open)
  }
  return most
}

class Reader {
  readonly maps: YamlMap[] = []
  readonly lineAt: (offset: number) => number
  /** Texts that aliases stand for, as far as they have been seen. */
  readonly #anchors = new Map<string, YamlScalar>()

  constructor(lineAt: (offset: number) => number) {
    this.lineAt = lineAt
  }

  read(contents: unknown): void {
    this.#anchors.clear()
    this.#visit(contents, 0)
  }

  #visit(node: unknown, depth: number): YamlValue | undefined {
    // What an alias stands for was visited where it is anchored; only a value's text is of use a second time.
    if (isAlias(node)) return this.#anchors.get(node.source)
    if (depth > MAX_DEPTH) return undefined
    if (isScalar(node)) return this.#scalar(node)
    if (isSeq(node)) for (const item of node.items) this.#visit(item, depth + 1)
    if (!isMap(node)) return undefined
    const entries = new Map<string, YamlValue>()
    const map = { line: this.#lineOf(node), entries }
    this.maps.push(map)
    for (const { key, value } of node.items) {
      const inner = this.#visit(value, depth + 1)
      if (isScalar(key) && inner !== undefined) entries.set(String(key.value), inner)
    }
    return map
  }

  #scalar(node: Scalar): YamlScalar {
    const { value, source, anchor } = node
    const text = typeof value === 'string' ? value : (source ?? String(value))
    const scalar = { line: this.#lineOf(node), text }
    if (anchor !== undefined) this.#anchors.set(anchor, scalar)
    return scalar
  }

  #lineOf({ range }: { readonly range?: readonly number[] | null | undefined }): number {
    return this.lineAt(range?.[0] ?? 0)
  }
}

export function isYamlMap(value: YamlValue | undefined): value is YamlMap {
  return value !== undefined && 'entries' in value
}
