/** `GET /` for a browser: what this is, and how each client is set up for the very address that the browser used. */
import { createHash } from 'node:crypto'
import { html, raw } from 'hono/html'
import type { Profile, Profiles } from '../config/profiles.ts'
import type { Config } from '../config/schema.ts'
import { clientsFor, formatSetup } from '../setup/clients.ts'
import { type Reach, setupOf } from '../setup/setup.ts'
import type { Exchange } from './exchange.ts'

export interface WelcomeDeps {
  readonly config: Pick<Config, 'upstreams' | 'defaultUpstream' | 'auth'>
  readonly profiles: Profiles
  /** Where this listener is reached when a browser does not say. */
  readonly reach: Reach
}

const TITLES: Readonly<Record<string, string>> = {
  docker: 'Docker',
  containerd: 'containerd',
  nerdctl: 'nerdctl',
  podman: 'podman, buildah, skopeo',
  'cri-o': 'CRI-O',
  buildkit: 'BuildKit',
  kubernetes: 'Kubernetes',
  stargz: 'stargz-snapshotter',
  soci: 'soci-snapshotter',
  nydus: 'nydus-snapshotter',
}

const FIRST_PROFILE = 'zstd'

/** What a browser sends; anything that could be confused in a configuration file is not taken from it. */
const HOST = /^(?:\[[0-9a-f:.]{2,45}\]|[a-z0-9.-]{1,253})(?::[0-9]{1,5})?$/i

const STYLE = `
:root { color-scheme: light dark; --line: light-dark(#d0d7de, #3d444d); --soft: light-dark(#f6f8fa, #151b23); --link: light-dark(#0550ae, #79c0ff) }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 60rem; padding: 1.5rem 1rem 4rem; font: 1rem/1.55 system-ui, sans-serif; background: light-dark(#fff, #0d1117); color: light-dark(#1f2328, #e6edf3) }
h1 { margin: 0; font-size: 1.6rem } h2 { margin: 2rem 0 .5rem; font-size: 1.15rem }
a { color: var(--link) }
pre { margin: 0; padding: .9rem 1rem; overflow-x: auto; background: var(--soft); border: 1px solid var(--line); border-radius: .4rem; font: .85rem/1.5 ui-monospace, monospace; tab-size: 2 }
.head { display: flex; justify-content: space-between; align-items: end; gap: 1rem }
button, select { font: inherit; padding: .25rem .7rem; border: 1px solid var(--line); border-radius: .4rem; background: var(--soft); color: inherit }
form { display: flex; flex-wrap: wrap; gap: .6rem; align-items: center; margin: 1rem 0 }
nav ul { display: flex; flex-wrap: wrap; gap: .4rem 1.2rem; margin: 0; padding: 0; list-style: none }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px }
`

/** Without it everything works but the buttons, which it brings to light, and the menu asks for a click more. */
const SCRIPT = `
for (const button of document.querySelectorAll('button[data-copies]')) {
  button.hidden = !navigator.clipboard
  button.addEventListener('click', async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copies).textContent)
    document.getElementById('said').textContent = button.getAttribute('aria-label').replace('Copy', 'Copied')
    button.textContent = 'Copied'
    setTimeout(() => { button.textContent = 'Copy' }, 2000)
  })
}
document.querySelector('select').addEventListener('change', (event) => event.target.form.submit())
`

const POLICY = [
  "default-src 'none'",
  `style-src ${hashOf(STYLE)}`,
  `script-src ${hashOf(SCRIPT)}`,
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ')

export function wantsWelcome(exchange: Exchange, path: string): boolean {
  return path === '/' && (exchange.header('accept') ?? '').includes('text/html')
}

export function sendWelcome(exchange: Exchange, params: URLSearchParams, deps: WelcomeDeps): void {
  const { profiles } = deps
  const profile = profiles.find(params.get('profile') ?? '') ?? profiles.find(FIRST_PROFILE)
  const page = profile === undefined ? '' : String(pageOf(profile, reachOf(exchange, deps), deps))
  exchange.send(
    200,
    {
      'Content-Type': 'text/html; charset=utf-8',
      'Content-Security-Policy': POLICY,
      'Referrer-Policy': 'no-referrer',
      'Cache-Control': 'no-store',
      Vary: 'Accept, Host',
    },
    page,
  )
}

/** The page only tells the browser what it said itself, so that a proxy in front is believed. */
function reachOf(exchange: Exchange, { reach }: WelcomeDeps): Reach {
  const host = exchange.header('host') ?? ''
  const isTls = reach.scheme === 'https' || exchange.header('x-forwarded-proto') === 'https'
  return {
    address: HOST.test(host) ? host : reach.address,
    scheme: isTls ? 'https' : 'http',
  }
}

function pageOf(profile: Profile, reach: Reach, { config, profiles }: WelcomeDeps) {
  const setup = setupOf(config, reach, profile)
  const clients = clientsFor(profile.format?.name)
  const options = profiles.names.map(
    (name) => html`<option${name === profile.name ? raw(' selected') : ''}>${name}</option>`,
  )
  const links = clients.map((client) => html`<li><a href="#${client}">${titleOf(client)}</a></li>`)
  const sections = clients.map((client) => sectionOf(client, formatSetup(client, setup).trimEnd()))
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>crossdock at ${reach.address}</title>
<style>${raw(STYLE)}</style>
</head>
<body>
<header>
<h1>crossdock</h1>
<p>This is a registry proxy: it pulls any image from the registries behind it and hands it out in the layer format that you ask
for, converted on the fly. It takes no pushes.</p>
</header>
<main>
<h2 id="try">Try it</h2>
<pre id="try-text">docker pull ${reach.address}/${setup.examples[0]}-${profile.name}</pre>
<form method="get" action="">
<label for="profile">Set-up for the profile</label>
<select id="profile" name="profile">${options}</select>
<noscript><button>Show</button></noscript>
</form>
<nav aria-label="Clients"><ul>${links}</ul></nav>
${sections}
</main>
<p id="said" role="status" aria-live="polite"></p>
<script>${raw(SCRIPT)}</script>
</body>
</html>
`
}

function titleOf(client: string): string {
  return TITLES[client] ?? client
}

function sectionOf(client: string, text: string) {
  const label = `Copy the set-up of ${titleOf(client)}`
  return html`<section aria-labelledby="${client}">
<div class="head"><h2 id="${client}">${titleOf(client)}</h2>
<button type="button" hidden data-copies="${client}-text" aria-label="${label}">Copy</button></div>
<pre id="${client}-text" tabindex="0">${text}</pre>
</section>
`
}

function hashOf(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`
}
