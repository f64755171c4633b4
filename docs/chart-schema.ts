/** The schema of the chart's values: what Kubernetes needs, and the configuration's own schema below `config`. */
import { configSchema } from '../src/config/schema.ts'

type Schema = Readonly<Record<string, unknown>>

const string = { type: 'string' }
const boolean = { type: 'boolean' }
const port = { type: 'integer', minimum: 1, maximum: 65535 }
/** Whatever Kubernetes takes there; its own schema checks it. */
const map = { type: 'object' }
const list = { type: 'array', items: map }
const strings = { type: 'array', items: { type: 'string', minLength: 1 } }
const texts = { type: 'object', additionalProperties: string }

function object(properties: Readonly<Record<string, Schema>>): Schema {
  return { type: 'object', properties, additionalProperties: false }
}

function described(schema: Schema, description: string): Schema {
  return { ...schema, description }
}

/** JSON schema (2020-12) of values.yaml. */
export function chartSchema(): Schema {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Values of the chart crossdock',
    ...object({ ...SERVER, config: configOfChart(), ...AROUND }),
  }
}

/** The data folder is where the chart mounts the volume. */
function configOfChart(): Schema {
  const { properties = {}, ...schema } = configSchema()
  const { data: _, ...rest } = properties
  const { $schema: __, ...plain } = schema as Schema
  return {
    ...plain,
    description: 'The configuration file, but data.',
    properties: withoutLookaround(rest) as Schema,
    required: ['listen', 'admin'],
  }
}

/** helm's expressions look neither ahead nor behind, and it takes no schema with one that does; crossdock itself checks those. */
function withoutLookaround(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(withoutLookaround)
  if (typeof schema !== 'object' || schema === null) return schema
  const entries = Object.entries(schema).filter(
    ([key, value]) => !(key === 'pattern' && /\(\?[=!<]/.test(String(value))),
  )
  return Object.fromEntries(entries.map(([key, value]) => [key, withoutLookaround(value)]))
}

const count = { type: 'integer', minimum: 1 }

const SERVER = {
  global: map,
  replicas: described(count, 'More than one need config.store on PostgreSQL and S3.'),
  autoscaling: object({
    enabled: boolean,
    minReplicas: count,
    maxReplicas: count,
    targetCPUPercent: { type: 'integer', minimum: 1, maximum: 100 },
  }),
  image: object({
    repository: { type: 'string', minLength: 1 },
    tag: described(string, "Default: the chart's appVersion."),
    pullPolicy: { enum: ['Always', 'IfNotPresent', 'Never'] },
    pullSecrets: strings,
  }),
  secrets: described(
    object({
      create: described(texts, 'Name of a file -> its content.'),
      existing: described(strings, 'Names of Secrets; each key becomes a file.'),
      environment: described(strings, 'Names of Secrets; each key becomes a variable.'),
    }),
    'Files in /etc/crossdock/secrets, and variables.',
  ),
  env: list,
  serviceAccountName: string,
  persistence: object({
    enabled: boolean,
    size: { type: 'string', pattern: '^[0-9.]+[KMGTPE]i?$' },
    storageClass: string,
  }),
}

const AROUND = {
  service: object({
    type: { enum: ['ClusterIP', 'NodePort', 'LoadBalancer'] },
    nodePort: { anyOf: [port, { type: 'null' }] },
    annotations: texts,
  }),
  ingress: object({
    enabled: boolean,
    className: string,
    host: string,
    tlsSecret: string,
    annotations: texts,
  }),
  nodes: described(
    object({
      enabled: boolean,
      registries: strings,
      profile: { type: 'string', pattern: '^[a-z0-9][a-z0-9-]*$' },
      address: described({ type: 'string', pattern: '^$|^[^/]+$' }, 'HOST:PORT, without scheme.'),
      ca: string,
      certsDir: { type: 'string', pattern: '^/' },
      nodeSelector: texts,
      tolerations: list,
    }),
    "A DaemonSet that writes containerd's hosts.toml on every node.",
  ),
  metrics: object({
    serviceMonitor: object({ enabled: boolean, interval: string, labels: texts }),
  }),
  networkPolicy: object({
    enabled: boolean,
    metricsFrom: list,
    upstreamPorts: { type: 'array', items: port },
    storePorts: { type: 'array', items: port },
  }),
  podDisruptionBudget: object({ enabled: boolean }),
  resources: map,
  terminationGracePeriodSeconds: { type: 'integer', minimum: 1 },
  podAnnotations: texts,
  podLabels: texts,
  priorityClassName: string,
  nodeSelector: texts,
  tolerations: list,
  affinity: map,
}
