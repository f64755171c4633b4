/** A line chart over time in plain SVG, with what stands under the pointer, or under the arrow keys, as text. */
import { h, setText, svg } from './dom.js'

const HEIGHT = 176
const LEFT = 58
const BOTTOM = 22
const TOP = 10

/**
 * `lines`: [{ title, value: (row) => number | null, second }]; `format` for axis and readout; `most`: the top of the axis, where it is
 * always the same, else 0.
 */
export function createChart(figure, { title, lines, format, most = 0, summary }) {
  const readout = h('p', { class: 'readout' })
  const drawing = svg('svg', { role: 'img', tabindex: '0' })
  const caption = h(
    'figcaption',
    {},
    h('strong', {}, title),
    lines.map((line) => h('span', { class: line.second ? 'key second' : 'key' }, line.title)),
  )
  figure.append(caption, drawing, readout)
  let rows = []
  let chosen = -1
  let width = 640
  const place = (index) => placeOf(index, rows.length, width)
  const choose = (index) => {
    chosen = Math.max(-1, Math.min(rows.length - 1, index))
    const row = rows[chosen]
    drawing.querySelector('.cursor')?.remove()
    if (row === undefined) {
      setText(readout, summary(rows))
      return
    }
    const x = place(chosen)
    drawing.append(svg('line', { class: 'cursor', x1: x, x2: x, y1: TOP, y2: HEIGHT - BOTTOM }))
    const values = lines.map((line) => `${line.title} ${textOf(line.value(row), format)}`)
    setText(readout, `${clock(row.at)}: ${values.join(', ')}`)
  }
  drawing.addEventListener('pointermove', (event) => {
    const x = event.clientX - drawing.getBoundingClientRect().left
    choose(Math.round(((x - LEFT) / (width - LEFT)) * (rows.length - 1)))
  })
  drawing.addEventListener('pointerleave', () => choose(-1))
  drawing.addEventListener('blur', () => choose(-1))
  drawing.addEventListener('keydown', (event) => {
    const steps = { ArrowLeft: -1, ArrowRight: 1, Home: -1e9, End: 1e9 }
    const step = steps[event.key]
    if (step === undefined) return
    event.preventDefault()
    const from = chosen < 0 ? rows.length - 1 : chosen
    choose(Math.max(0, Math.min(rows.length - 1, from + step)))
  })
  const redraw = () => {
    width = drawing.clientWidth || width
    drawing.setAttribute('viewBox', `0 0 ${width} ${HEIGHT}`)
    drawing.setAttribute('aria-label', `${title}. ${summary(rows)}`)
    drawing.replaceChildren(...shapesOf({ rows, lines, format, most, width, place }))
    choose(chosen)
  }
  new ResizeObserver(redraw).observe(drawing)
  return {
    draw(newRows) {
      rows = newRows
      redraw()
    },
  }
}

function shapesOf({ rows, lines, format, most, width, place }) {
  const values = rows.flatMap((row) => lines.map((line) => line.value(row) ?? 0))
  const top = most || niceTop(Math.max(0, ...values))
  const y = (value) => HEIGHT - BOTTOM - (value / top) * (HEIGHT - BOTTOM - TOP)
  const marks = [0, top / 2, top].flatMap((value) => [
    svg('line', { class: 'grid', x1: LEFT, x2: width, y1: y(value), y2: y(value) }),
    svg('text', { x: LEFT - 6, y: y(value) + 4, 'text-anchor': 'end' }, format(value)),
  ])
  const times = rows.length < 2 ? [] : [0, 0.5, 1].map((part) => timeMark(rows, part, place))
  return [...marks, ...times, ...lines.flatMap((line) => lineOf(rows, line, y, place))]
}

function timeMark(rows, part, place) {
  const index = Math.round((rows.length - 1) * part)
  const anchor = part === 0 ? 'start' : part === 1 ? 'end' : 'middle'
  const x = place(index)
  return svg('text', { x, y: HEIGHT - 6, 'text-anchor': anchor }, clock(rows[index].at))
}

/** Runs of minutes that have a value; what has none is a gap. */
function lineOf(rows, { value, second }, y, place) {
  const runs = [[]]
  rows.forEach((row, i) => {
    const found = value(row)
    if (found === null) runs.push([])
    else runs.at(-1).push([place(i), y(found)])
  })
  return runs
    .filter((run) => run.length > 0)
    .flatMap((run) => {
      const points = run.length === 1 ? [...run, [run[0][0] + 2, run[0][1]]] : run
      const path = points.map(([x, v]) => `${x.toFixed(1)},${v.toFixed(1)}`).join(' L')
      const [[first]] = points
      const [last] = points.at(-1)
      const base = HEIGHT - BOTTOM
      return [
        !second &&
          svg('path', { class: 'area', d: `M${first},${base} L${path} L${last},${base} Z` }),
        svg('path', { class: second ? 'line second' : 'line', d: `M${path}` }),
      ].filter(Boolean)
    })
}

function placeOf(index, length, width) {
  return length < 2 ? LEFT : LEFT + (index / (length - 1)) * (width - LEFT - 2)
}

/** A number just above, that halves well. */
function niceTop(value) {
  if (value <= 0) return 1024
  const step = 1024 ** Math.floor(Math.log(value) / Math.log(1024))
  const scaled = value / step
  const nice = [1, 2, 4, 6, 10, 20, 40, 60, 100, 200, 400, 600, 1024].find((one) => one >= scaled)
  return (nice ?? 1024) * step
}

function textOf(value, format) {
  return value === null ? 'none' : format(value)
}

function clock(at) {
  return new Date(at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' })
}
