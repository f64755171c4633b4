/** Lines of the log as people read them on a terminal: one line an event, requests as short as they can be. */
import { oneLine } from './printable.ts'

type Fields = Readonly<Record<string, unknown>>

/** `12:00:00 info evicted event="collected" total=12`; of a request see below. */
export function logLine(json: string): string {
  const { level, time, msg, ...fields } = JSON.parse(json) as Fields
  const parts =
    fields.event === 'request'
      ? requestParts(msg, fields)
      : [msg, ...Object.entries(fields).map(([name, value]) => `${name}=${JSON.stringify(value)}`)]
  const text = [String(time).slice(11, 19), level, ...parts].filter(isThere).join(' ')
  return `${oneLine(text)}\n`
}

function isThere(part: unknown): boolean {
  return part !== undefined && part !== false && part !== ''
}

/**
 * `GET 200 /v2/library/alpine/manifests/3-zstd docker.io/library/alpine:3-zstd hit 1234 B 3.1 ms 10.0.0.7 docker/27.1`, and of
 * a refusal what the client was told. JSON has the rest.
 */
function requestParts(msg: unknown, fields: Fields): unknown[] {
  const { path, image, conversion, bytes, ms, client, principal, userAgent, cut, refusal } = fields
  const agent = textOf(userAgent)?.split(/\s/, 1)[0]?.slice(0, 30)
  const has = (name: string, value: unknown) => value !== undefined && `${name}=${value}`
  const outcome =
    refusal === undefined
      ? [shortDigests(image), conversion, bytes !== undefined && `${bytes} B`]
      : [refusal]
  const who = [client, has('user', principal), agent]
  return [
    msg,
    shortDigests(path),
    ...outcome,
    has('cut', cut),
    `${ms} ms`,
    ...who,
    errorText(fields),
  ]
}

/** What went wrong with an answer under way, or with us; of a refusal the client knows it all. */
function errorText({ err, refusal }: Fields): string | undefined {
  if (typeof err !== 'object' || err === null) return undefined
  const { message, stack } = err as Fields
  const text = textOf(stack) ?? (refusal === undefined ? textOf(message) : undefined)
  return text && `error=${JSON.stringify(text)}`
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** A dozen digits tell digests of one machine apart. */
function shortDigests(value: unknown): string | undefined {
  return textOf(value)?.replace(/\b(sha256|sha512):([0-9a-f]{12})[0-9a-f]+/g, '$1:$2')
}
