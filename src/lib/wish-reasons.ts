/** Why wishes are not fulfilled, as labels of a metric: a bounded set, whatever converters and upstreams come to say. */

const REASONS: ReadonlySet<string> = new Set([
  // What is never converted, or not for this puller.
  ...['ai-model', 'artifact', 'attestation', 'build-cache', 'docker-plugin', 'encrypted'],
  ...['estargz', 'foreign-layers', 'helm', 'no-layers', 'nydus', 'overlaybd', 'signature'],
  ...['soci', 'unknown-layer', 'wasm', 'zstdchunked'],
  ...['client', 'not-carried', 'no-matching-platform', 'puller-reads-docker-types-only'],
  // What is broken, or beyond a limit.
  ...['bad-digest', 'bad-manifest', 'bad-size', 'blob-unknown', 'manifest-unknown'],
  ...['corrupt', 'dictionary', 'diff-id', 'digest', 'field', 'json', 'layer-count'],
  ...['layer-too-large', 'media-type', 'nesting', 'record', 'tar', 'tar-header'],
  ...['too-large', 'trailing-data', 'truncated', 'zstd-window'],
  // What passes.
  ...['circuit-open', 'denied', 'disk-full', 'queue-full', 'too-many-requests'],
  ...['upstream-failed', 'upstream-timeout', 'wait-budget'],
  'internal',
])

export function wishLabel(reason: string): string {
  return REASONS.has(reason) ? reason : 'other'
}
