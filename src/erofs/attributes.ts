/** What every file has: a name in its folder, and attributes. */

/** A name or a link's target as bytes, one character (U+0000 to U+00FF) each: any bytes can be held, and `<` sorts bytewise. */
export type ByteText = string

/** Seconds since 1970, negative before, and the nanoseconds after them (0 to 999,999,999). */
export interface NodeTime {
  readonly seconds: number
  readonly nanos: number
}

export interface Attributes {
  /** Permission bits, set-id bits and the sticky bit: 0 to 0o7777. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly mtime: NodeTime
  /** Extended attributes by their full names. */
  readonly xattrs: ReadonlyMap<ByteText, Uint8Array>
}
