/** Sizes and durations as people write them ("10GiB", "1h30m"), parsed once into bytes and milliseconds. */

const SIZE_UNITS = {
  B: 1,
  kB: 1e3,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
} as const

const DURATION_UNITS = {
  w: 7 * 86_400_000,
  d: 86_400_000,
  h: 3_600_000,
  m: 60_000,
  s: 1_000,
  ms: 1,
} as const

const SIZE = /^(\d+(?:\.\d+)?) ?([kKMGT]i?B|B)?$/
const DURATION = /^(?:\d+(?:\.\d+)?(?:ms|[wdhms]))+$/
const DURATION_PART = /(\d+(?:\.\d+)?)(ms|[wdhms])/g

/** Bytes of "10GiB", "500MB", "1.5KiB" or "1024"; `undefined` for anything else. */
export function parseSize(text: string): number | undefined {
  const [, amount, unit = 'B'] = SIZE.exec(text.trim()) ?? []
  if (amount === undefined || !(unit in SIZE_UNITS)) return undefined
  const bytes = Math.round(Number(amount) * SIZE_UNITS[unit as keyof typeof SIZE_UNITS])
  return Number.isSafeInteger(bytes) ? bytes : undefined
}

/** Milliseconds of "15m", "1h30m", "7d", "250ms" or "0"; `undefined` for anything else, so also for a bare number. */
export function parseDuration(text: string): number | undefined {
  const trimmed = text.trim()
  if (trimmed === '0') return 0
  if (!DURATION.test(trimmed)) return undefined
  let total = 0
  for (const [, amount, unit] of trimmed.matchAll(DURATION_PART)) {
    total += Number(amount) * DURATION_UNITS[unit as keyof typeof DURATION_UNITS]
  }
  const ms = Math.round(total)
  return Number.isSafeInteger(ms) ? ms : undefined
}

/** The shortest text that `parseSize` reads back as the same number of bytes. */
export function formatSize(bytes: number): string {
  for (const unit of ['TiB', 'TB', 'GiB', 'GB', 'MiB', 'MB', 'KiB', 'kB'] as const) {
    if (bytes > 0 && bytes % SIZE_UNITS[unit] === 0) return `${bytes / SIZE_UNITS[unit]}${unit}`
  }
  return `${bytes}B`
}

/** A text that `parseDuration` reads back as the same number of milliseconds, e.g. "1h30m". */
export function formatDuration(ms: number): string {
  let rest = ms
  let text = ''
  for (const unit of ['d', 'h', 'm', 's', 'ms'] as const) {
    const amount = Math.floor(rest / DURATION_UNITS[unit])
    if (amount > 0) text += `${amount}${unit}`
    rest -= amount * DURATION_UNITS[unit]
  }
  return text === '' ? '0s' : text
}
