/** The dashboard's page: landmarks, headings and empty lists that its script fills; nothing but its own files is ever loaded. */
import { html } from 'hono/html'
import type { Exchange } from './exchange.ts'

/** Scripts are files of ours, and put no text of others into the page as markup (Trusted Types). */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ')

const HEADERS = {
  'Content-Type': 'text/html; charset=utf-8',
  'Content-Security-Policy': POLICY,
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Cache-Control': 'no-store',
  Vary: 'Accept',
}

const VIEWS = { now: 'Now', images: 'Images', store: 'Store', trouble: 'Trouble' } as const

export function sendDashboard(exchange: Exchange): void {
  exchange.send(200, HEADERS, String(page()))
}

/** In place of the dashboard, to a browser where nobody gets in: what to do about it, and nothing else. */
export function sendClosed(exchange: Exchange, why: string): void {
  const text = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>crossdock</title>
</head>
<body>
<main>
<h1>The dashboard is off</h1>
<p>${why}</p>
<p><a href="/metrics">Metrics</a> and <a href="/readyz">health</a> are here all the same.</p>
</main>
</body>
</html>
`
  exchange.send(403, HEADERS, String(text))
}

function page() {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Now · crossdock</title>
<link rel="icon" href="/dashboard/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/dashboard/style.css">
<script type="module" src="/dashboard/app.js"></script>
</head>
<body>
<a class="skip" href="#content">Skip to content</a>
<header class="top">
<div class="brand"><img src="/dashboard/icon.svg" alt="" width="28" height="28"><span>crossdock</span><small id="version"></small></div>
<nav aria-label="Views"><ul>${Object.entries(VIEWS).map(([view, title]) => html`<li><a href="#${view}" data-view="${view}">${title}<span class="count" data-count="${view}" hidden></span></a></li>`)}</ul></nav>
<p class="link" id="link" data-state="connecting">connecting</p>
</header>
<main id="content" tabindex="-1">
<ul class="lines outages" id="outages" aria-label="What is away" hidden></ul>
<noscript><p class="empty">This page is live and needs its script. The same is at <a href="/api/state">/api/state</a> as JSON.</p></noscript>
${now()}
${images()}
${store()}
${trouble()}
</main>
${tasks()}
${dialog()}
<p class="hidden" id="said" role="status" aria-live="polite"></p>
</body>
</html>
`
}

function now() {
  return html`<section class="view" id="view-now" aria-labelledby="now-title">
<h1 id="now-title" tabindex="-1">Now</h1>
<dl class="tiles" id="tiles"></dl>
<section aria-labelledby="jobs-title">
<h2 id="jobs-title">Conversions</h2>
<ul class="cards" id="jobs"></ul>
<p class="empty" id="jobs-empty">Nothing is being converted. Pull <code id="try-it">REPOSITORY:TAG-zstd</code> through here and watch.</p>
</section>
<section aria-labelledby="downloads-title">
<h2 id="downloads-title">Downloads</h2>
<ul class="cards" id="downloads"></ul>
<p class="empty" id="downloads-empty">Nothing is being fetched.</p>
</section>
<section aria-labelledby="ended-title">
<h2 id="ended-title">Just finished</h2>
<ul class="lines" id="ended"></ul>
<p class="empty" id="ended-empty">Nothing yet since the start.</p>
</section>
<section aria-labelledby="traffic-title">
<div class="head"><h2 id="traffic-title">Traffic</h2>
<div class="pick" role="group" aria-label="Span of the charts"><button type="button" data-span="60">1 h</button><button type="button" data-span="360" aria-pressed="true">6 h</button><button type="button" data-span="1440">24 h</button></div></div>
<div class="charts"><figure id="chart-bytes"></figure><figure id="chart-hits"></figure></div>
</section>
<section aria-labelledby="upstreams-title">
<h2 id="upstreams-title">Upstreams</h2>
<ul class="cards small" id="upstreams"></ul>
</section>
</section>`
}

function images() {
  return html`<section class="view" id="view-images" aria-labelledby="images-title" hidden>
<h1 id="images-title" tabindex="-1">Images</h1>
<div id="images-list">
<form class="bar" id="stage-form"><label for="stage-ref">Stage an image</label>
<input id="stage-ref" name="image" required autocomplete="off" autocapitalize="off" spellcheck="false" placeholder="alpine:3-zstd">
<button>Stage</button></form>
<form class="bar" id="search-form" role="search"><label for="search">Find</label>
<input id="search" name="match" type="search" autocomplete="off" autocapitalize="off" spellcheck="false" placeholder="part of a name, or a glob such as docker.io/**">
<button>Find</button></form>
<ul class="cards" id="images"></ul>
<p class="empty" id="images-empty" hidden></p>
<p class="more"><button type="button" id="images-more" hidden>Show more</button></p>
</div>
<div id="image-detail" hidden></div>
</section>`
}

function store() {
  return html`<section class="view" id="view-store" aria-labelledby="store-title" hidden>
<h1 id="store-title" tabindex="-1">Store</h1>
<div id="budget"></div>
<div class="bar"><button type="button" data-act="gc">Collect now</button><button type="button" data-act="verify">Verify everything</button><button type="button" id="report-again">Look again</button></div>
<p class="soft" id="report-state">Looking through the store …</p>
<div class="columns">
<section aria-labelledby="by-upstream-title"><h2 id="by-upstream-title">By upstream</h2><div id="by-upstream"></div></section>
<section aria-labelledby="by-profile-title"><h2 id="by-profile-title">By profile</h2><div id="by-profile"></div></section>
</div>
<section aria-labelledby="stays-title"><h2 id="stays-title">Why the rest stays</h2><dl class="facts" id="stays"></dl></section>
<section aria-labelledby="next-title"><h2 id="next-title">What goes next</h2><p id="next-sum"></p><div class="scroll" id="next" role="region" aria-labelledby="next-title" tabindex="0"></div></section>
<section aria-labelledby="upkeep-title"><h2 id="upkeep-title">Scrub and verification</h2><dl class="facts" id="upkeep"></dl>
<h3 id="healed-title">Found wrong</h3><ul class="lines" id="healed"></ul><p class="empty" id="healed-empty">Nothing was found wrong since the start.</p></section>
</section>`
}

function trouble() {
  return html`<section class="view" id="view-trouble" aria-labelledby="trouble-title" hidden>
<h1 id="trouble-title" tabindex="-1">Trouble</h1>
<p class="empty good" id="trouble-empty">All is well: nothing was refused, no upstream fails.</p>
<section aria-labelledby="failing-title" data-part="failing" hidden><h2 id="failing-title">Failing upstreams</h2><ul class="lines" id="failing"></ul></section>
<section aria-labelledby="failed-title" data-part="failed" hidden><h2 id="failed-title">Failed conversions</h2><ul class="lines" id="failed"></ul></section>
<section aria-labelledby="refusals-title" data-part="refusals" hidden><h2 id="refusals-title">Refused, by reason</h2><div class="scroll" role="region" aria-labelledby="refusals-title" tabindex="0" id="refusals"></div>
<h3>The last ones</h3><ul class="lines" id="refused"></ul></section>
<section aria-labelledby="wishes-title" data-part="wishes" hidden><h2 id="wishes-title">Served as the original, by reason</h2><div class="scroll" role="region" aria-labelledby="wishes-title" tabindex="0" id="wishes"></div></section>
<section aria-labelledby="chores-title" data-part="chores" hidden><h2 id="chores-title">Failed housekeeping</h2><ul class="lines" id="chores"></ul></section>
</section>`
}

function tasks() {
  return html`<aside class="tasks" aria-labelledby="tasks-title" id="tasks-aside" hidden>
<h2 id="tasks-title">Actions</h2>
<ul class="lines" id="tasks"></ul>
</aside>`
}

function dialog() {
  return html`<dialog id="confirm" aria-labelledby="confirm-title" aria-describedby="confirm-text">
<form method="dialog"><h2 id="confirm-title"></h2><p id="confirm-text"></p>
<div class="bar"><button value="no" autofocus>Cancel</button><button value="yes" class="danger" id="confirm-yes"></button></div></form>
</dialog>`
}
