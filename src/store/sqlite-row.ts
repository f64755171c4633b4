/** What SQLite hands out. */

export type Value = string | number | Uint8Array | null
export type Row = Readonly<Record<string, Value>>
