/** Numbers, times and names as people read them. */

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']

export function bytes(count) {
  let value = Math.abs(count)
  let unit = 0
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024
    unit += 1
  }
  const digits = unit === 0 || value >= 100 ? 0 : 1
  return `${count < 0 ? '−' : ''}${value.toFixed(digits)} ${UNITS[unit]}`
}

export function rate(perSecond) {
  return `${bytes(perSecond)}/s`
}

export function number(value) {
  if (value >= 100 || Number.isInteger(value)) return Math.round(value).toLocaleString('en')
  return value.toFixed(1)
}

export function percent(part) {
  const value = part * 100
  if (value > 0 && value < 0.1) return 'below 0.1 %'
  return `${value > 0 && value < 10 ? value.toFixed(1) : Math.round(value)} %`
}

/** `1 layer`, `3 layers` */
export function count(n, noun) {
  return `${n.toLocaleString('en')} ${n === 1 ? noun : `${noun}s`}`
}

export function seconds(value) {
  if (value < 10) return `${value.toFixed(1)} s`
  if (value < 60) return `${Math.round(value)} s`
  if (value < 3600) return `${Math.floor(value / 60)} min ${Math.round(value % 60)} s`
  return `${Math.floor(value / 3600)} h ${Math.floor((value % 3600) / 60)} min`
}

/** @type {[string, number][]} */
const STEPS = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
]

/** `3 minutes ago`; `just now` below a minute, so that nothing counts seconds aloud. */
export function ago(at, now = Date.now()) {
  if (at === null) return 'never'
  const passed = now - at
  for (const [unit, ms] of STEPS)
    if (passed >= ms) return `${count(Math.floor(passed / ms), unit)} ago`
  return passed < -60_000 ? when(at) : 'just now'
}

export function span(ms) {
  for (const [unit, step] of STEPS) if (ms >= step) return count(Math.round(ms / step), unit)
  return count(Math.round(ms / 1000), 'second')
}

export function when(at) {
  return new Date(at).toLocaleString()
}

/** `sha256:3f8a1b2c4d5e` */
export function digest(text) {
  return text === null ? '' : text.slice(0, text.indexOf(':') + 13)
}

/** `docker.io/library/alpine` as `alpine`: what one would type. */
export function shortName(name, defaultUpstream) {
  if (!name.startsWith(`${defaultUpstream}/`)) return name
  const rest = name.slice(defaultUpstream.length + 1)
  return defaultUpstream === 'docker.io' ? rest.replace(/^library\//, '') : rest
}
