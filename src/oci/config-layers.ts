/**
 * Pure: an image's config with one layer more. Every byte that is not said to change stays: unknown fields, formats of numbers, white
 * space (image-spec "config.md").
 */
import { type Digest, digestOf } from './digest.ts'
import {
  decodeText,
  findArrayEnd,
  findStrings,
  type JsonRules,
  malformed,
  readJson,
} from './json.ts'
import { fold } from './key-case.ts'

/** What is said of the layer that is added. */
export interface HistoryEntry {
  readonly created_by: string
  readonly comment: string
}

/**
 * Puts other diffIDs into a config, one more than it has, and an entry at the end of its history, if it has one. Throws `badManifest`
 * when the config has another number of them, or none.
 */
export function appendLayer(
  config: Uint8Array,
  diffIds: readonly Digest[],
  history: HistoryEntry,
): Uint8Array {
  const what = `config ${digestOf(config)}`
  const rules: JsonRules = { what, maxBytes: config.byteLength, rewritten: false }
  readJson(config, rules)
  const text = decodeText(config, rules)
  const spans = findStrings(text, ['rootfs', 'diff_ids'], fold, rules)
  if (spans.length === 0 || spans.length !== diffIds.length - 1) {
    const problem = `has ${spans.length} diffIDs where ${diffIds.length - 1} are needed`
    throw malformed(what, problem, 'layer-count')
  }
  const edits = spans.map(({ start, end }, i) => ({ start, end, text: `"${diffIds[i]}"` }))
  const last = spans.at(-1)?.end ?? 0
  edits.push({ start: last, end: last, text: `,"${diffIds.at(-1)}"` })
  const end = findArrayEnd(text, ['history'], fold, rules)
  if (end !== undefined) {
    const isEmpty = text.slice(0, end).trimEnd().endsWith('[')
    edits.push({ start: end, end, text: `${isEmpty ? '' : ','}${JSON.stringify(history)}` })
  }
  return new TextEncoder().encode(edited(text, edits))
}

interface Edit {
  readonly start: number
  readonly end: number
  readonly text: string
}

function edited(text: string, edits: readonly Edit[]): string {
  let result = ''
  let copied = 0
  for (const edit of edits.toSorted((a, b) => a.start - b.start)) {
    result += text.slice(copied, edit.start) + edit.text
    copied = edit.end
  }
  return result + text.slice(copied)
}
