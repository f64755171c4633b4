/** Every metric that events count in, with its labels. */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'

export function createMetrics(registry: Registry) {
  const registers = [registry]
  const seconds = [0.005, 0.02, 0.1, 0.5, 2, 10, 30, 120, 600]
  return {
    requests: new Counter({
      name: 'crossdock_requests_total',
      help: 'Requests answered',
      labelNames: ['route', 'status'],
      registers,
    }),
    requestSeconds: new Histogram({
      name: 'crossdock_request_seconds',
      help: 'Seconds from request to the end of the answer',
      labelNames: ['route'],
      buckets: seconds,
      registers,
    }),
    refusedConnections: new Counter({
      name: 'crossdock_refused_connections_total',
      help: 'Connections that never became a request: tls-to-plain, plain-to-tls, no-certificate, bad-certificate',
      labelNames: ['reason'],
      registers,
    }),
    served: new Counter({
      name: 'crossdock_served_total',
      help: 'Manifests and blobs served: from the store (hit), from upstream or converted for it (miss), or by redirect',
      labelNames: ['what', 'from'],
      registers,
    }),
    bytesIn: new Counter({
      name: 'crossdock_upstream_bytes_total',
      help: 'Bytes of blobs fetched from upstream',
      labelNames: ['upstream'],
      registers,
    }),
    bytesOut: new Counter({
      name: 'crossdock_served_bytes_total',
      help: 'Bytes of bodies sent to clients',
      registers,
    }),
    conversions: new Counter({
      name: 'crossdock_conversions_total',
      help: 'Images converted for pullers of this server, by profile and result; one that several servers of a store wait for counts at each',
      labelNames: ['profile', 'result'],
      registers,
    }),
    unfulfilled: new Counter({
      name: 'crossdock_unfulfilled_wishes_total',
      help: 'Answers that were the original where a path, header, listener or rule named a profile, by reason',
      labelNames: ['reason'],
      registers,
    }),
    conversionSeconds: new Histogram({
      name: 'crossdock_conversion_seconds',
      help: 'Seconds that the conversion of an image took, or that this server waited for another one of its store',
      labelNames: ['profile'],
      buckets: seconds,
      registers,
    }),
    layers: new Counter({
      name: 'crossdock_layers_converted_total',
      help: 'Layers converted, by encoding and result',
      labelNames: ['encoding', 'result'],
      registers,
    }),
    layerRatio: new Histogram({
      name: 'crossdock_layer_size_ratio',
      help: 'Size of a converted layer over the size of its source',
      labelNames: ['encoding'],
      buckets: [0.25, 0.5, 0.75, 0.9, 1, 1.1, 1.5, 2, 4, 8],
      registers,
    }),
    upstreamRequests: new Counter({
      name: 'crossdock_upstream_requests_total',
      help: 'Requests to upstreams, by kind and status (0: no answer)',
      labelNames: ['upstream', 'kind', 'status'],
      registers,
    }),
    upstreamErrors: new Counter({
      name: 'crossdock_upstream_errors_total',
      help: 'Failed requests and downloads, by upstream',
      labelNames: ['upstream', 'kind'],
      registers,
    }),
    evictedBlobs: new Counter({
      name: 'crossdock_evicted_blobs_total',
      help: 'Blobs deleted by garbage collection, by reason',
      labelNames: ['reason'],
      registers,
    }),
    evictedBytes: new Counter({
      name: 'crossdock_evicted_bytes_total',
      help: 'Bytes deleted by garbage collection, by reason',
      labelNames: ['reason'],
      registers,
    }),
    foldedBlobs: new Counter({
      name: 'crossdock_folded_blobs_total',
      help: 'Blobs deleted because they can be made again from what is kept (cache.dedup)',
      registers,
    }),
    foldedBytes: new Counter({
      name: 'crossdock_folded_bytes_total',
      help: 'Bytes of these blobs',
      registers,
    }),
    healed: new Counter({
      name: 'crossdock_store_checks_total',
      help: 'Rotten or missing things that the scrub found: healed or failed',
      labelNames: ['result'],
      registers,
    }),
    scrubbedBytes: new Counter({
      name: 'crossdock_scrubbed_bytes_total',
      help: 'Bytes that finished scrubs have verified',
      registers,
    }),
    storeFailures: new Counter({
      name: 'crossdock_store_failures_total',
      help: 'Questions that PostgreSQL (catalog) or S3 (blobs) did not answer, after all tries',
      labelNames: ['part'],
      registers,
    }),
    peerRefusals: new Counter({
      name: 'crossdock_peer_refusals_total',
      help: 'Connections and questions refused at replicas.listen, where servers of one store alone belong: share, head, proof, question',
      labelNames: ['reason'],
      registers,
    }),
    quota: new Gauge({
      name: 'crossdock_upstream_quota_remaining',
      help: 'Pulls that an upstream still allows, from its RateLimit headers',
      aggregator: 'min',
      labelNames: ['upstream'],
      registers,
    }),
  }
}
