/** Elements out of words: text is always text, never markup. */

/**
 * The element with this id, which the page has.
 *
 * @returns {any}
 */
export function byId(id) {
  const found = document.getElementById(id)
  if (found === null) throw new Error(`the page has no #${id}`)
  return found
}

/** All elements that match.
 *
 * @returns {any[]}
 */
export function all(selector) {
  return [...document.querySelectorAll(selector)]
}

/** `h('button', { type: 'button', onclick }, 'Text', child)`; what is null or false is left out. */
export function h(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children)
}

const SVG = 'http://www.w3.org/2000/svg'

export function svg(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children)
}

function filled(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value)
    else element.setAttribute(key, value === true ? '' : String(value))
  }
  element.append(
    ...children.flat().filter((one) => one !== null && one !== undefined && one !== false),
  )
  return element
}

/** Changes nothing where nothing changes, so that a screen reader and the selection stay where they are. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text
}

export function show(element, isShown) {
  if (element.hidden === isShown) element.hidden = !isShown
}

/**
 * Makes the children of `parent` those of `items`, by key, in their order: `create` makes one with a function `update` of its own,
 * what is there already is updated where it is, and what is gone is removed.
 */
export function keep(parent, items, keyOf, create) {
  const known = kept.get(parent) ?? new Map()
  kept.set(parent, known)
  const wanted = new Set()
  let place = parent.firstElementChild
  for (const [index, item] of items.entries()) {
    const key = String(keyOf(item, index))
    wanted.add(key)
    let one = known.get(key)
    if (one === undefined) {
      one = create(item)
      known.set(key, one)
    }
    one.update(item)
    if (one.element === place) place = place.nextElementSibling
    else parent.insertBefore(one.element, place)
  }
  for (const [key, { element }] of known) {
    if (wanted.has(key)) continue
    element.remove()
    known.delete(key)
  }
}

const kept = new WeakMap()

/** For lists that change seldom: made anew, but only when what they show has changed. */
export function fill(parent, data, make) {
  const text = JSON.stringify(data)
  if (filledWith.get(parent) === text) return
  filledWith.set(parent, text)
  parent.replaceChildren(...[make(data)].flat())
}

const filledWith = new WeakMap()

/** Said once to who listens rather than looks. */
export function say(text) {
  byId('said').textContent = text
}
