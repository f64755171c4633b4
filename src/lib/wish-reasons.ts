/** Why wishes are not fulfilled, as labels of a metric: a bounded set, whatever converters come to say. */

const REASONS: ReadonlySet<string> = new Set([
  // What is never converted, or not for this puller.
  ...['ai-model', 'artifact', 'attestation', 'build-cache', 'docker-plugin', 'encrypted'],
  ...['estargz', 'foreign-layers', 'helm', 'no-layers', 'nydus', 'overlaybd', 'signature'],
  ...['no-diff-ids', 'soci', 'unknown-layer', 'wasm', 'zstdchunked'],
  ...['client', 'no-matching-platform', 'not-carried', 'puller-reads-docker-types-only'],
  // What is broken, or beyond a limit.
  ...[
    'bad-digest',
    'bad-manifest',
    'bad-size',
    'blob-missing',
    'blob-unknown',
    'manifest-unknown',
    'refused',
  ],
  ...['ambiguous', 'bom', 'contradiction', 'digest', 'field', 'json', 'json-depth', 'utf-8'],
  ...['json-duplicate-key', 'json-key-case', 'json-number', 'json-surrogate'],
  ...['child-missing', 'child-size', 'layer-count', 'media-type', 'nesting', 'size-zero'],
  ...['gzip-corrupt', 'gzip-dictionary', 'gzip-trailing-data', 'gzip-truncated'],
  ...['zstd-corrupt', 'zstd-dictionary', 'zstd-trailing-data', 'zstd-truncated', 'zstd-window'],
  ...['diff-id', 'not-a-layer', 'tar', 'tar-header'],
  ...['image-too-large', 'layer-too-large', 'too-large', 'too-many-layers', 'too-many-manifests'],
  ...['no-list', 'record', 'unsuitable', 'no-layer-for-soci'],
  ...['content-encoding', 'manifest-digest', 'size', 'too-long', 'web-page', 'wrong-bytes'],
  // What passes.
  ...['abandoned', 'denied', 'disk-full', 'downloads-full', 'queue-full', 'rotten'],
  ...['too-many-requests', 'upstream-failed', 'upstream-timeout', 'wait-budget'],
  'internal',
])

export function wishLabel(reason: string): string {
  return REASONS.has(reason) ? reason : 'other'
}
