/** `crossdock config client`: how to point each client at this server, filled in and ready to paste. */
import { formatAddress } from '../config/address.ts'
import { DOCKER_HUB } from '../config/checks.ts'
import { profilesOf } from '../config/profiles.ts'
import type { Config } from '../config/schema.ts'
import { EXIT, UsageError } from './output.ts'
import type { System } from './system.ts'

export const CLIENTS = ['docker', 'containerd', 'podman', 'buildkit', 'kubernetes'] as const
export type ClientName = (typeof CLIENTS)[number]

export interface Setup {
  /** `proxy.example:5000` */
  readonly address: string
  readonly scheme: 'http' | 'https'
  readonly profile: string
  /** Upstreams that clients know by a host name, and where they are. */
  readonly hosts: readonly { readonly name: string; readonly server: string }[]
  readonly defaultUpstream: string
}

export interface ClientOptions {
  readonly profile: string
  readonly address?: string
}

export function clientCommand(
  client: ClientName,
  config: Config,
  options: ClientOptions,
  system: System,
): number {
  const profiles = profilesOf(config)
  const profile = profiles.find(options.profile)
  if (profile === undefined) {
    throw new UsageError(
      `--profile: no such profile ${JSON.stringify(options.profile)}; there are ${profiles.names.join(', ')}`,
    )
  }
  const [listener] = config.listen
  const setup: Setup = {
    address: options.address ?? addressOf(listener, system.hostname),
    scheme: listener?.tls === undefined ? 'http' : 'https',
    profile: profile.name,
    hosts: hostsOf(config),
    defaultUpstream: config.defaultUpstream,
  }
  system.output.out(TEXTS[client](setup))
  return EXIT.ok
}

const TEXTS: Readonly<Record<ClientName, (setup: Setup) => string>> = {
  docker: formatDocker,
  containerd: formatContainerd,
  podman: formatPodman,
  buildkit: formatBuildkit,
  kubernetes: formatKubernetes,
}

function addressOf(listener: Config['listen'][number] | undefined, hostname: string): string {
  const { host, port } = listener ?? { host: '0.0.0.0', port: 5000 }
  const isWildcard = host === '0.0.0.0' || host === '::'
  return formatAddress({ host: isWildcard ? hostname : host, port })
}

/** Names that are hosts: an upstream that is only a name of ours, such as `local`, is reached by path alone. */
function hostsOf({ upstreams }: Config): Setup['hosts'] {
  const hosts = Object.entries(upstreams)
    .filter(([name]) => /[.:]/.test(name))
    .map(([name, { url }]) =>
      DOCKER_HUB.has(name)
        ? { name: 'docker.io', server: 'https://registry-1.docker.io' }
        : { name, server: url ?? `https://${name}` },
    )
  return hosts.length === 0
    ? [{ name: 'registry.example', server: 'https://registry.example' }]
    : hosts
}

function formatDocker(setup: Setup): string {
  const { address, profile, scheme } = setup
  const insecure = scheme === 'http' ? `,\n  "insecure-registries": ["${address}"]` : ''
  return `# Docker
# 1. By name, one image at a time. Nothing to set up on 127.0.0.1; elsewhere see "insecure-registries" below.
docker pull ${address}/alpine:3-${profile}
docker pull ${address}/ghcr.io/OWNER/IMAGE:TAG-${profile}

# 2. All of Docker Hub, names unchanged: /etc/docker/daemon.json, then restart dockerd. Docker 24 and later;
#    older ones take no path there and want a listener of their own with "profile: ${profile}".
{
  "registry-mirrors": ["${scheme}://${address}/as/${profile}/"]${insecure}
}

# 3. Any registry, names unchanged: Docker 28 and later with the containerd image store (the default of new
#    installations of Docker 29) reads containerd's files from /etc/docker/certs.d/HOST/hosts.toml.
${hostsTomls(setup, '/etc/docker/certs.d')}`
}

function formatContainerd(setup: Setup): string {
  return `# containerd 1.5 and later: one folder per registry, read at each pull, no restart.
# /etc/containerd/config.toml must name the folder (it does on most Kubernetes nodes):
#   containerd 2:  [plugins."io.containerd.cri.v1.images".registry]
#   containerd 1:  [plugins."io.containerd.grpc.v1.cri".registry]
#                    config_path = "/etc/containerd/certs.d"
# By hand: ctr images pull --hosts-dir /etc/containerd/certs.d docker.io/library/alpine:3

${hostsTomls(setup, '/etc/containerd/certs.d')}
# The same by header instead of path:
#   [host."${setup.scheme}://${setup.address}"]
#     capabilities = ["pull", "resolve"]
#     [host."${setup.scheme}://${setup.address}".header]
#       Crossdock-Profile = "${setup.profile}"
#
# The same with the path behind /v2:
#   [host."${setup.scheme}://${setup.address}/v2/as/${setup.profile}"]
#     capabilities = ["pull", "resolve"]
#     override_path = true
`
}

/** "resolve" is needed: with "pull" alone tags are looked up at the origin and only originals are asked of us. */
function hostsTomls({ address, scheme, profile, hosts }: Setup, folder: string): string {
  return hosts
    .map(
      ({ name, server }) => `# ${folder}/${name}/hosts.toml
server = "${server}"

[host."${scheme}://${address}/as/${profile}"]
  capabilities = ["pull", "resolve"]
`,
    )
    .join('\n')
}

function formatPodman(setup: Setup): string {
  const { address, scheme, profile, hosts } = setup
  const tls = scheme === 'http' ? ' --tls-verify=false' : ''
  return `# podman, buildah, skopeo, CRI-O: /etc/containers/registries.conf.d/crossdock.conf
# By hand, without this file: podman pull${tls} ${address}/alpine:3-${profile}

${hosts.map(({ name }) => formatPodmanRegistry(name, setup)).join('\n')}`
}

/** podman sends neither \`ns\` nor a header, and takes no port within a name: such a host can only be the default upstream. */
function formatPodmanRegistry(host: string, setup: Setup): string {
  const { address, scheme, profile, defaultUpstream } = setup
  if (host.includes(':') && host !== defaultUpstream) {
    return `# ${host}: podman takes no port in a mirror's path; give the upstream a name without one, with "url", and
# pull ${address}/as/${profile}/NAME/REPOSITORY:TAG
`
  }
  const path = host.includes(':') ? '' : `/${host}`
  return `[[registry]]
prefix = "${host}"
location = "${host}"

[[registry.mirror]]
location = "${address}/as/${profile}${path}"${scheme === 'http' ? '\ninsecure = true' : ''}
`
}

function formatBuildkit({ address, scheme, profile, hosts }: Setup): string {
  const mirrors = hosts.map(
    ({ name }) => `[registry."${name}"]
  mirrors = ["${address}/as/${profile}"]
`,
  )
  const plain = scheme === 'http' ? `\n[registry."${address}"]\n  http = true\n` : ''
  return `# BuildKit: /etc/buildkit/buildkitd.toml, or docker buildx create --buildkitd-config FILE --use
# (the BuildKit inside dockerd uses dockerd's own set-up: crossdock config client docker)

${mirrors.join('\n')}${plain}`
}

function formatKubernetes(setup: Setup): string {
  const { address, profile, scheme } = setup
  return `# Kubernetes: image names in manifests stay as they are; each node's runtime is set up once.
# CRI-O nodes: crossdock config client podman
# containerd nodes: write the files below on every node, for instance from a DaemonSet or the node image.
# A converted image has its own manifest digest: pin name@sha256:... of the conversion ("crossdock inspect REF"), since a
# pinned source digest always brings the source.
#
# Without touching the nodes, image by image:
#   image: ${address}/docker.io/library/alpine:3-${profile}
# for which the runtime must ${scheme === 'http' ? 'accept plain HTTP from this address' : 'trust the certificate of this address'}.

${formatContainerd(setup)}`
}
