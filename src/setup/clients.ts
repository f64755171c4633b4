/** How to point each client at this server, filled in and ready to paste: for `crossdock config client` and the page at `/`. */
import { DOCKER_HUB } from '../config/checks.ts'
import type { Config } from '../config/schema.ts'

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
  /** What to pull by the names of this server, without the profile's suffix; the first one lies in the default upstream. */
  readonly examples: readonly [string, ...string[]]
}

/** Where clients reach this server. */
export interface Reach {
  readonly address: string
  readonly scheme: 'http' | 'https'
}

export function setupOf(
  config: Pick<Config, 'upstreams' | 'defaultUpstream'>,
  reach: Reach,
  profile: string,
): Setup {
  return {
    ...reach,
    profile,
    hosts: hostsOf(config),
    defaultUpstream: config.defaultUpstream,
    examples: examplesOf(config),
  }
}

export function formatSetup(client: ClientName, setup: Setup): string {
  return TEXTS[client](setup)
}

const TEXTS: Readonly<Record<ClientName, (setup: Setup) => string>> = {
  docker: formatDocker,
  containerd: formatContainerd,
  podman: formatPodman,
  buildkit: formatBuildkit,
  kubernetes: formatKubernetes,
}

/** By the host that images are named by: an upstream that is only a name of ours is known by its URL's. */
function hostsOf({ upstreams }: Pick<Config, 'upstreams'>): Setup['hosts'] {
  const hosts = Object.entries(upstreams).flatMap(([name, { url }]) => {
    if (DOCKER_HUB.has(name)) return [{ name: 'docker.io', server: 'https://registry-1.docker.io' }]
    if (/[.:]/.test(name)) return [{ name, server: url ?? `https://${name}` }]
    return url === undefined ? [] : [{ name: new URL(url).host, server: new URL(url).origin }]
  })
  return [...new Map(hosts.map((one) => [one.name, one])).values()]
}

/** No client takes a port within a name: such an upstream can only be the default one. */
function examplesOf({
  upstreams,
  defaultUpstream,
}: Pick<Config, 'upstreams' | 'defaultUpstream'>): Setup['examples'] {
  const others = Object.keys(upstreams)
    .filter((name) => name !== defaultUpstream && !name.includes(':'))
    .map((name) => (DOCKER_HUB.has(name) ? 'docker.io/library/alpine:3' : `${name}/REPOSITORY:TAG`))
  const first = DOCKER_HUB.has(defaultUpstream) ? 'alpine:3' : 'REPOSITORY:TAG'
  return [first, ...others.slice(0, 1)]
}

function formatDocker(setup: Setup): string {
  const { address, profile, hosts, examples } = setup
  const pulls = examples.map((image) => `docker pull ${address}/${image}-${profile}\n`).join('')
  return `# Docker
# 1. By name, one image at a time. Nothing to set up on 127.0.0.1; elsewhere see "insecure-registries" below.
${pulls}
${formatDaemon(setup)}${
  hosts.length === 0
    ? ''
    : `
# 3. Any registry, names unchanged: Docker 28 and later with the containerd image store (the default of new
#    installations of Docker 29) reads containerd's files from /etc/docker/certs.d/HOST/hosts.toml.
${hostsTomls(setup, '/etc/docker/certs.d')}`
}`
}

/** Mirrors are asked for names of Docker Hub alone, and without saying so: the default upstream has to be it. */
function formatDaemon({ address, profile, scheme, defaultUpstream }: Setup): string {
  const insecure = scheme === 'http' ? [`"insecure-registries": ["${address}"]`] : []
  if (!DOCKER_HUB.has(defaultUpstream)) {
    return `# 2. "registry-mirrors" of dockerd is for Docker Hub alone, which is not the default upstream here.${
      insecure.length === 0
        ? ''
        : `
#    For plain HTTP: /etc/docker/daemon.json, then restart dockerd.
{
  ${insecure}
}`
    }
`
  }
  const lines = [`"registry-mirrors": ["${scheme}://${address}/as/${profile}/"]`, ...insecure]
  return `# 2. All of Docker Hub, names unchanged: /etc/docker/daemon.json, then restart dockerd. Docker 24 and later;
#    older ones take no path there and want a listener of their own with "profile: ${profile}".
{
  ${lines.join(',\n  ')}
}
`
}

function formatContainerd(setup: Setup): string {
  const [host] = setup.hosts
  if (host === undefined) {
    return `# containerd: ${byNameAlone(setup)}
# For plain HTTP in the folder that config_path in /etc/containerd/config.toml names:
# /etc/containerd/certs.d/${setup.address}/hosts.toml
server = "${setup.scheme}://${setup.address}"
`
  }
  const image = host.name === 'docker.io' ? 'library/alpine:3' : 'REPOSITORY:TAG'
  return `# containerd 1.5 and later: one folder per registry, read at each pull, no restart.
# /etc/containerd/config.toml must name the folder (it does on most Kubernetes nodes):
#   containerd 2:  [plugins."io.containerd.cri.v1.images".registry]
#   containerd 1:  [plugins."io.containerd.grpc.v1.cri".registry]
#                    config_path = "/etc/containerd/certs.d"
# By hand: ctr images pull --hosts-dir /etc/containerd/certs.d ${host.name}/${image}
# Without these files, by this server's names: ${setup.address}/${setup.examples[0]}-${setup.profile}

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

/** For upstreams of which none has a host's name that images could keep. */
function byNameAlone({ address, profile, examples }: Setup): string {
  const images = examples.map((image) => `${address}/${image}-${profile}`)
  return `no upstream here is a host, so that images are pulled by this server's names alone:
#   ${images.join('\n#   ')}`
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
  const { address, scheme, profile, hosts, examples } = setup
  const tls = scheme === 'http' ? ' --tls-verify=false' : ''
  if (hosts.length === 0) {
    return `# podman, buildah, skopeo, CRI-O: ${byNameAlone(setup)}
# For plain HTTP: /etc/containers/registries.conf.d/crossdock.conf
[[registry]]
location = "${address}"
insecure = ${scheme === 'http'}
`
  }
  return `# podman, buildah, skopeo, CRI-O: /etc/containers/registries.conf.d/crossdock.conf
# By hand, without this file: podman pull${tls} ${address}/${examples[0]}-${profile}

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

function formatBuildkit(setup: Setup): string {
  const { address, scheme, profile, hosts, examples } = setup
  const mirrors = hosts.map(
    ({ name }) => `[registry."${name}"]
  mirrors = ["${address}/as/${profile}"]
`,
  )
  const plain = scheme === 'http' ? `\n[registry."${address}"]\n  http = true\n` : ''
  if (hosts.length === 0) return `# BuildKit: ${byNameAlone(setup)}\n${plain}`
  return `# BuildKit: /etc/buildkit/buildkitd.toml, or docker buildx create --buildkitd-config FILE --use
# (the BuildKit inside dockerd uses dockerd's own set-up: crossdock config client docker)
# Without this file, by this server's names: FROM ${address}/${examples[0]}-${profile}

${mirrors.join('\n')}${plain}`
}

function formatKubernetes(setup: Setup): string {
  const { address, profile, scheme, examples } = setup
  const [first] = examples
  const image = first === 'alpine:3' ? 'docker.io/library/alpine:3' : first
  return `# Kubernetes: image names in manifests stay as they are; each node's runtime is set up once.
# CRI-O nodes: crossdock config client podman
# containerd nodes: write the files below on every node, for instance from a DaemonSet or the node image.
# A converted image has its own manifest digest: pin name@sha256:... of the conversion ("crossdock inspect REF"), since a
# pinned source digest always brings the source.
#
# Without touching the nodes, image by image:
#   image: ${address}/${image}-${profile}
# for which the runtime must ${scheme === 'http' ? 'accept plain HTTP from this address' : 'trust the certificate of this address'}.

${formatContainerd(setup)}`
}
