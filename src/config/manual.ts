/** The page docs/configuration.md, written from the schema and the tables of formats and profiles. */
import type { OptionSpec } from '../format/format.ts'
import { FORMATS } from '../format/formats.ts'
import { BUILT_INS } from './profiles.ts'
import { configSchema } from './schema.ts'
import type { SchemaNode } from './schema-node.ts'
import { formatSize } from './units.ts'

const INTRODUCTION = `# Configuration

<!-- Written by "npm run docs" from src/config/schema.ts and src/format/; change those. -->

One YAML file: \`--config FILE\`, else \`CROSSDOCK_CONFIG\`, else \`./crossdock.yaml\`, else \`/etc/crossdock/crossdock.yaml\`.
Every key has a default, so none is needed. Then the environment counts, then flags (\`--listen\`, \`--admin\`, \`--data\`).
\`crossdock config check\` reports mistakes with file, line and column, as many at once as it can tell apart; \`crossdock config show\` prints what is in
force and where it comes from; \`crossdock config schema\` prints a JSON schema for editors.
[config/crossdock.yaml](../config/crossdock.yaml) shows every key; its neighbours are small files for one purpose each.

- Sizes: \`500MB\` (10^6), \`10GiB\` (2^30), or a number of bytes. Durations: \`250ms\`, \`30s\`, \`15m\`, \`1h30m\`, \`7d\`.
- Environment: \`CROSSDOCK_CACHE__MAX_SIZE=10GiB\` is \`cache.maxSize\`: \`__\` between levels, \`_\` for camel case. Maps and lists are
  JSON: \`CROSSDOCK_RULES='[{"match":"docker.io/**","profile":"zstd"}]'\`.
- \`\${NAME}\` in a value is a variable of the environment, \`$\${\` is \`\${\` itself.
- Relative paths start at the folder of the file, or at the working directory for environment and flags.
- Unknown keys, wrong types and names that do not exist end the start with exit code 2.
`

const PLACES = `## Upstreams below a path

The path of an upstream's \`url\`, and of its \`mirrors\`, says where its API is and how its names begin:

| \`url\` | \`library/alpine\` is asked for at | for |
| --- | --- | --- |
| \`https://host\` | \`/v2/library/alpine/...\` | most registries |
| \`https://host/artifactory/api/docker/repo\` | \`/artifactory/api/docker/repo/v2/library/alpine/...\` | Artifactory, Nexus (\`/repository/NAME\`), any registry behind a path |
| \`https://host/v2/hub-proxy\` | \`/v2/hub-proxy/library/alpine/...\` | a project of Harbor, a repository key of Artifactory, Nexus by path: whatever has another registry's names below one of its own |
| \`https://host/path/v2/hub-proxy\` | \`/path/v2/hub-proxy/library/alpine/...\` | both |

So Docker Hub through a Harbor project, with its names as everybody knows them (\`proxy:5000/alpine:3-zstd\`), is

\`\`\`yaml
upstreams:
  docker.io: { url: https://harbor.example/v2/hub-proxy, username: robot$crossdock, passwordFile: /run/secrets/harbor }
\`\`\`

The last \`/v2\` of a path is the one that counts; a path with one of its own gets another at its end
(\`https://host/api/v2/docker/v2\`). Tokens are asked for by the name that the registry itself has for a repository.
`

const CREDENTIALS = `## Credentials

Credentials of an upstream are \`username\` with \`password\` or \`passwordFile\`, or a client certificate (\`cert\`, \`key\`). Where an
upstream has none, those of the Docker client's configuration (\`$DOCKER_CONFIG/config.json\`, else \`~/.docker/config.json\`) are
used: \`auths\`, \`credHelpers\`, \`credsStore\`. Files are read again when they changed, and after a refusal, so passwords and
certificates may rotate; while a file cannot be read the last known text counts. Registries that hide private repositories from
strangers (404 or 403 instead of a question) are asked at \`/v2/\` whom they want to see, and then again.

A server with credentials that listens beyond loopback and lets everyone in would hand private images to everyone. Then

- credentials of the Docker configuration are not used, and the log says so once;
- credentials of crossdock's own configuration end the start with exit code 2;
- \`allowOpenCredentials: true\` permits both, for networks where everyone may have those images.

Loopback listeners, and listeners with \`tls.clientCa\`, are not open. Commands that a person runs (\`stage\`, \`inspect\`) use
credentials always: what they bring into the store is then served to whoever the server lets in.
`

const KEYS = `The last column says when a running server takes a new value: \`at once\` when it is told to read its configuration again
(SIGHUP, \`systemctl reload crossdock\`), or after a \`restart\`. [Operations](operations.md#changing-the-configuration) has the rest.
`

export function configurationPage(): string {
  const keys = rowsOf(configSchema(), [])
  return [
    INTRODUCTION,
    '## Keys\n',
    KEYS,
    table(['key', 'default', 'meaning', 'on reload'], keys),
    '## Profiles\n',
    'A tag suffix (`alpine:3-zstd`), a path (`/as/zstd/`), a header, a listener and a rule each name a profile. Built in are:\n',
    table(['profile', 'other suffixes', 'format', 'what it gives'], BUILT_INS.map(profileRow)),
    'A profile under `profiles` has `format`, `platforms`, `onSlow` and the options of its format. A built-in profile may be',
    'given other options under its own name, never another format.\n',
    table(['format', 'option', 'default', 'meaning'], FORMATS.flatMap(optionRows)),
    PLACES,
    CREDENTIALS,
  ].join('\n')
}

function rowsOf(node: SchemaNode, path: readonly string[], isBelowRestart = false): string[][] {
  const below = Object.entries(node.properties ?? {}).flatMap(([name, child]) => {
    const needsRestart = isBelowRestart || child.restart === true
    const hasKeys = child.properties !== undefined
    const onReload = hasKeys ? '' : needsRestart ? 'restart' : 'at once'
    const key = `\`${[...path, name].join('.')}\``
    const row = [key, defaultOf(child), child.description ?? '', onReload]
    return child.items?.properties
      ? [row, ...rowsOf(child.items, [...path, `${name}[]`], needsRestart)]
      : [row, ...rowsOf(child, [...path, name], needsRestart)]
  })
  const rest = node.additionalProperties
  return typeof rest === 'object' && rest.properties
    ? [...below, ...rowsOf(rest, [...path, '<name>'], isBelowRestart)]
    : below
}

function defaultOf(node: SchemaNode): string {
  const value = node.default
  if (value === undefined) return ''
  if (typeof value !== 'object') return `\`${String(value)}\``
  const text = JSON.stringify(value)
  return text === '{}' || text.length > 40 ? '' : `\`${text}\``
}

function profileRow({ name, aliases, format, options }: (typeof BUILT_INS)[number]): string[] {
  const changed = Object.entries(options).map(([option, value]) => `${option} ${value}`)
  const doc = format?.doc ?? "the source untouched: opts out of a rule or of a listener's profile"
  return [
    `\`${name}\``,
    aliases.map((alias) => `\`-${alias}\``).join(', '),
    format === undefined ? '' : [format.name, ...changed].join(', '),
    doc,
  ]
}

function optionRows(format: (typeof FORMATS)[number]): string[][] {
  return Object.entries(format.options).map(([name, spec]) => [
    format.name,
    `\`${name}\``,
    `\`${spec.type === 'integer' && spec.unit ? formatSize(spec.default) : spec.default}\``,
    `${spec.doc} ${rangeOf(spec)}`,
  ])
}

function rangeOf(spec: OptionSpec): string {
  if (spec.type === 'choice') return `One of ${spec.choices.map((one) => `\`${one}\``).join(', ')}.`
  const [min, max] = [spec.min, spec.max].map((value) => (spec.unit ? formatSize(value) : value))
  return `From ${min} to ${max}.`
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll('\n', ' ')).join(' | ')} |`
  return `${[line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')}\n`
}
