/** JSON with a check sum in it: files that a catalog is made again from must not lie either when they rot. */
import { crc32 } from 'node:zlib'

/** One line; `sum` is of the same JSON without it. */
export function summedJson(value: object): string {
  const text = JSON.stringify(value)
  return JSON.stringify({ ...value, sum: crc32(text) })
}

/** The object, without its sum; `undefined` when it is none, or not what was written. Older files have no sum. */
export function parseSummedJson(text: string): object | undefined {
  try {
    const { sum, ...value } = JSON.parse(text) as { readonly sum?: number }
    const isSound = sum === undefined || crc32(JSON.stringify(value)) === sum
    return isSound ? value : undefined
  } catch {
    return undefined
  }
}
