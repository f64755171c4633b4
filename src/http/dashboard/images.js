/** The view of images: names page by page, and one of them with its variants side by side and what can be done to it. */
import { act, ask, onDone } from './actions.js'
import { byId, h, say, show } from './dom.js'
import { ago, bytes, count, digest, percent, seconds, shortName, when } from './format.js'

let state
/** What is shown: a name, or '' for the list. */
let shown = ''
let isListed = false
let next = null

export function start(of) {
  state = of
  byId('search-form').addEventListener('submit', (event) => {
    event.preventDefault()
    void list()
  })
  byId('stage-form').addEventListener('submit', (event) => {
    event.preventDefault()
    const image = byId('stage-ref').value.trim()
    if (image !== '') void act('stage', { images: [image] })
  })
  byId('images-more').addEventListener('click', () => void list(next))
  onDone(({ action }) => {
    if (action === 'gc' || action === 'verify') return
    if (shown === '') void list()
    else void detail(shown)
  })
}

export function openImages(name) {
  shown = name
  show(byId('images-list'), name === '')
  show(byId('image-detail'), name !== '')
  if (name !== '') {
    byId('images-title').textContent = 'Image'
    void detail(name)
    return
  }
  byId('images-title').textContent = 'Images'
  if (!isListed) void list()
}

async function read(path) {
  const response = await fetch(path)
  const answer = await response.json()
  if (!response.ok) throw new Error(answer.errors?.[0]?.message ?? response.statusText)
  return answer
}

// ------------------------------------------------------------------------------------------------- list

async function list(after = null) {
  isListed = true
  await state.ready
  const match = byId('search').value
  const query = new URLSearchParams({ match, limit: '30', ...(after !== null && { after }) })
  const empty = byId('images-empty')
  try {
    const page = await read(`/api/images?${query}`)
    const cards = page.images.map(imageCard)
    if (after === null) byId('images').replaceChildren(...cards)
    else {
      byId('images').append(...cards)
      cards[0]?.querySelector('a')?.focus()
    }
    next = page.next
    show(empty, byId('images').childElementCount === 0)
    empty.textContent =
      match === ''
        ? 'The store is empty: pull or stage an image, and it is here.'
        : `Nothing in the store has ${match} in its name.`
    const n = byId('images').childElementCount
    say(`${count(n, 'image')}${next === null ? '' : ', and more'}`)
  } catch (error) {
    isListed = false
    show(empty, true)
    empty.textContent = error.message
  }
  show(byId('images-more'), next !== null)
}

function imageCard({ image, digest: of, variants }) {
  const used = Math.max(...variants.map(({ lastUsed }) => lastUsed ?? 0))
  return h(
    'li',
    {},
    h(
      'div',
      { class: 'row' },
      h(
        'a',
        { class: 'name', href: `#images/${encodeURIComponent(image)}` },
        shortName(image, state.server?.defaultUpstream ?? ''),
      ),
      h('code', { title: of }, digest(of)),
      h('span', { class: 'soft end' }, used === 0 ? 'never used' : `used ${ago(used)}`),
    ),
    h(
      'div',
      { class: 'row' },
      variants.map((one) => variantBadge(one, variants[0])),
    ),
  )
}

function variantBadge({ profile, size, stored, current, pinned }, source) {
  const share =
    profile === 'original' || source.size === 0 ? '' : ` · ${percent(size / source.size)}`
  const marks = [
    pinned && 'pinned',
    !current && 'outdated',
    stored < size && 'not all stored',
  ].filter(Boolean)
  return h('span', { class: 'badge' }, [`${profile} ${bytes(size)}${share}`, ...marks].join(' · '))
}

// ------------------------------------------------------------------------------------------------- one image

async function detail(name) {
  await state.ready
  const place = byId('image-detail')
  const crumb = h('p', { class: 'crumb' }, h('a', { href: '#images' }, '← All images'))
  try {
    const image = await read(`/api/image?image=${encodeURIComponent(name)}`)
    if (shown === name) place.replaceChildren(crumb, ...detailOf(image))
  } catch (error) {
    if (shown === name) place.replaceChildren(crumb, h('p', { class: 'empty' }, error.message))
  }
}

function detailOf(image) {
  const { image: name, digest: of, checkedAt, here, variants, signatures } = image
  return [
    h('h2', { id: 'image-name' }, shortName(name, state.server?.defaultUpstream ?? '')),
    h(
      'dl',
      { class: 'facts' },
      h('dt', {}, 'Name'),
      h('dd', {}, h('code', {}, name)),
      h('dt', {}, 'Source digest'),
      h('dd', {}, copyable(of, 'the source digest')),
      h('dt', {}, 'Tag checked'),
      h('dd', { title: when(checkedAt) }, ago(checkedAt)),
      h('dt', {}, 'Signatures'),
      h('dd', {}, signatureText(signatures)),
    ),
    h('div', { class: 'bar' }, ...buttonsOf(image)),
    here
      ? h(
          'div',
          { class: 'scroll', role: 'region', 'aria-labelledby': 'image-name', tabindex: '0' },
          variantTable(image),
        )
      : h(
          'p',
          { class: 'empty' },
          'Its manifest was evicted; it comes back when somebody asks for it.',
        ),
    ...platformTables(variants),
  ]
}

/** A signature covers the source; every variant is made from it and checked against it. */
function signatureText(signatures) {
  if (signatures.length === 0) return 'none has come through here; its upstream may know one'
  const kinds = [...new Set(signatures.map(({ kind }) => kind))].join(', ')
  return `${kinds}, of the source; variants are checked against the source and not signed themselves`
}

function buttonsOf({ image, variants }) {
  const made = new Set(variants.map(({ profile }) => profile))
  const profiles = (state.server?.profiles ?? []).filter((one) => one !== 'original')
  const select = h(
    'select',
    { 'aria-label': 'Profile to stage' },
    profiles.map((one) => h('option', { value: one }, made.has(one) ? `${one} (made)` : one)),
  )
  return [
    h(
      'span',
      { class: 'buttons' },
      select,
      button('Stage', () => act('stage', { images: [`${image}-${select.value}`] })),
    ),
    button('Re-check tag', () => act('recheck', { images: [image] })),
    button('Look for signatures', () => act('signatures', { images: [image] })),
    button('Verify', () => act('verify', { image })),
    button(
      'Remove',
      () =>
        ask({
          title: `Forget ${image}?`,
          text: 'The name and all its conversions are forgotten. What only they need goes with the next collection; whoever pulls the name gets it from its upstream again.',
          yes: 'Forget it',
          act: async () => {
            location.hash = '#images'
            await act('remove', { images: [image] })
          },
        }),
      'danger',
    ),
  ]
}

function button(text, onclick, kind = '') {
  return h('button', { type: 'button', class: kind, onclick: () => void onclick() }, text)
}

/** Variants as columns, what is known of them as rows. */
function variantTable(image) {
  const { variants } = image
  const [source] = variants
  /** @type {[string, (variant: any) => any][]} */
  const rows = [
    ['Size', (one) => sizeText(one, source)],
    [
      'Stored',
      ({ stored, size }) => (stored >= size ? 'all of it' : `${bytes(stored)} of ${bytes(size)}`),
    ],
    ['Layers', ({ platforms }) => layersText(platforms)],
    [
      'Converted',
      ({ convertedAt, seconds: took }) =>
        convertedAt === null
          ? '–'
          : h('span', { title: when(convertedAt) }, `in ${seconds(took)}, ${ago(convertedAt)}`),
    ],
    ['Last used', ({ lastUsed }) => ago(lastUsed)],
    ['Digest', ({ digest: of, profile }) => copyable(of, `the digest of ${profile}`)],
    ['Pull', (one) => copyable(pullOf(image, one), `the pull command of ${one.profile}`)],
    ['Read by range', (one) => rangeText(one)],
    ['Fell back', ({ platforms }) => fallbackText(platforms)],
    [
      'Signed',
      ({ profile }) =>
        profile === 'original'
          ? 'as its publisher did'
          : 'no: made from the source, checked against it',
    ],
    ['Do', (one) => variantButtons(image, one)],
  ]
  const head = variants.map(({ profile, current, pinned }) =>
    h(
      'th',
      { scope: 'col' },
      profile,
      ' ',
      pinned && h('span', { class: 'badge' }, 'pinned'),
      ' ',
      !current && h('span', { class: 'badge warn' }, 'outdated'),
    ),
  )
  return h(
    'table',
    { class: 'variants' },
    h('thead', {}, h('tr', {}, h('td', {}), head)),
    h(
      'tbody',
      {},
      rows.map(([title, cell]) =>
        h(
          'tr',
          {},
          h('th', { scope: 'row' }, title),
          variants.map((one) => h('td', {}, cell(one))),
        ),
      ),
    ),
  )
}

function sizeText({ profile, size }, source) {
  if (profile === 'original' || source.size === 0) return bytes(size)
  return `${bytes(size)} · ${percent(size / source.size)} of the source`
}

function layersText(platforms) {
  if (platforms.length === 0) return 'no image of it is here'
  const counts = [...new Set(platforms.map(({ layers }) => layers))]
  const layers =
    counts.length === 1
      ? count(counts[0], 'layer')
      : `${Math.min(...counts)} to ${Math.max(...counts)} layers`
  return platforms.length === 1 ? layers : `${layers}, ${count(platforms.length, 'platform')}`
}

function rangeText({ reads, size }) {
  const { rangeBytes, ranges, wholes } = reads
  if (ranges === 0)
    return wholes === 0
      ? 'nothing since the start'
      : `nothing; ${count(wholes, 'blob')} went out whole`
  return `${bytes(rangeBytes)} in ${count(ranges, 'range')}, ${percent(rangeBytes / Math.max(1, size))} of its size`
}

function fallbackText(platforms) {
  const all = platforms.flatMap(({ fallbacks }) => fallbacks)
  if (all.length === 0) return 'none'
  return h(
    'ul',
    {},
    all.map(({ source, reason }) =>
      h('li', {}, h('code', { title: source }, digest(source).slice(7)), ` ${reason}`),
    ),
  )
}

function pullOf({ name, tag }, { profile }) {
  const [listener] = state.server?.listeners ?? []
  const isWild = listener === undefined || ['0.0.0.0', '::'].includes(listener.host)
  const host = isWild ? location.hostname : listener.host
  const address = `${host.includes(':') && !host.startsWith('[') ? `[${host}]` : host}:${listener?.port ?? 5000}`
  const suffix = profile === 'original' ? '' : `-${profile}`
  return `docker pull ${address}/${shortName(name, state.server?.defaultUpstream ?? '')}:${tag}${suffix}`
}

function variantButtons({ image }, { profile, pinned }) {
  const ref = profile === 'original' ? image : `${image}-${profile}`
  const label = (text) => ({ type: 'button', class: 'quiet', 'aria-label': `${text} ${profile}` })
  const pin = pinned ? ['Unpin', 'unpin'] : ['Pin', 'pin']
  return h(
    'span',
    { class: 'buttons' },
    h('button', { ...label(pin[0]), onclick: () => void act(pin[1], { images: [ref] }) }, pin[0]),
    profile === 'original'
      ? null
      : h(
          'button',
          { ...label('Convert again'), onclick: () => void act('convert', { images: [ref] }) },
          'Convert again',
        ),
    profile === 'original'
      ? null
      : h(
          'button',
          {
            ...label('Remove'),
            onclick: () =>
              void ask({
                title: `Forget ${profile} of ${image}?`,
                text: 'This conversion is forgotten, and made anew when somebody asks for it.',
                yes: 'Forget it',
                act: () => act('remove', { images: [ref] }),
              }),
          },
          'Remove',
        ),
  )
}

function platformTables(variants) {
  const many = variants.filter(({ platforms, unseen }) => platforms.length > 1 || unseen > 0)
  return many.flatMap(({ profile, platforms, unseen }, i) => [
    h(
      'h3',
      { id: `platforms-${i}` },
      `Platforms of ${profile}${unseen > 0 ? `, and ${unseen} that nobody asked for` : ''}`,
    ),
    h(
      'div',
      { class: 'scroll', role: 'region', 'aria-labelledby': `platforms-${i}`, tabindex: '0' },
      h(
        'table',
        {},
        h(
          'thead',
          {},
          h(
            'tr',
            {},
            ['Platform', 'Layers', 'Size', 'Stored', 'Digest'].map((one) =>
              h('th', { scope: 'col' }, one),
            ),
          ),
        ),
        h(
          'tbody',
          {},
          platforms.map((one) =>
            h(
              'tr',
              {},
              h('th', { scope: 'row' }, one.platform ?? 'any'),
              h('td', {}, String(one.layers)),
              h('td', {}, bytes(one.size)),
              h('td', {}, bytes(one.stored)),
              h('td', {}, h('code', {}, one.digest)),
            ),
          ),
        ),
      ),
    ),
  ])
}

function copyable(text, what) {
  const copy = async (event) => {
    await navigator.clipboard.writeText(text)
    say(`Copied ${what}`)
    const { target } = event
    target.textContent = 'Copied'
    setTimeout(() => (target.textContent = 'Copy'), 1_500)
  }
  const canCopy = navigator.clipboard !== undefined
  return h(
    'span',
    { class: 'copy' },
    h('code', {}, text),
    canCopy &&
      h(
        'button',
        {
          type: 'button',
          class: 'quiet',
          'aria-label': `Copy ${what}`,
          onclick: (event) => void copy(event),
        },
        'Copy',
      ),
  )
}
