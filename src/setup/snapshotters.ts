/** Lazy snapshotters of containerd: each fetches what a container reads, by a configuration of its own beside containerd's. */
import { ownHostsToml } from './hosts-toml.ts'
import { file, isLocal, note, run, type Setup, type Step } from './setup.ts'

interface Snapshotter {
  readonly name: string
  readonly socket: string
  /** What a node must have, and where it comes from. */
  readonly programs: readonly string[]
  /** Of the CRI plugin of containerd, beside `snapshotter` and `disable_snapshot_annotations`. */
  readonly criLines: readonly string[]
}

const STARGZ: Snapshotter = {
  name: 'stargz',
  socket: '/run/containerd-stargz-grpc/containerd-stargz-grpc.sock',
  programs: ['containerd-stargz-grpc: https://github.com/containerd/stargz-snapshotter/releases'],
  criLines: [],
}
const SOCI: Snapshotter = {
  name: 'soci',
  socket: '/run/soci-snapshotter-grpc/soci-snapshotter-grpc.sock',
  programs: [
    'soci-snapshotter-grpc 0.10 or newer: https://github.com/awslabs/soci-snapshotter/releases',
  ],
  criLines: [],
}
const NYDUS: Snapshotter = {
  name: 'nydus',
  socket: '/run/containerd-nydus/containerd-nydus-grpc.sock',
  programs: [
    'containerd-nydus-grpc: https://github.com/containerd/nydus-snapshotter/releases',
    'nydusd, tried with 2.2.0: https://github.com/dragonflyoss/nydus/releases',
  ],
  criLines: ['discard_unpacked_layers = false'],
}

export function stargzSteps(setup: Setup): Step[] {
  const path = '/etc/containerd-stargz-grpc/config.toml'
  return [
    ...containerdParts(setup, STARGZ),
    ...resolverStep(path, setup, 'stargz-snapshotter'),
    ...trustSteps(setup, 'stargz-snapshotter'),
    ...loginSteps(setup, 'stargz-snapshotter'),
    ...pullSteps(setup, STARGZ),
    namesThatStay(setup),
  ]
}

function namesThatStay({ address, scheme, hosts, defaultUpstream }: Setup): Step {
  const known = hosts.find(({ upstream }) => upstream === defaultUpstream)?.name
  const host = known ?? (/[.:]/.test(defaultUpstream) ? defaultUpstream : undefined)
  if (host === undefined) {
    return note(
      "Images are pulled by this server's names alone: the snapshotter says neither path nor upstream to a mirror, so that names",
      'stay as they are for the default upstream alone, which no client knows by a host here.',
    )
  }
  return note(
    'Names of the default upstream stay as they are with "crossdock config client containerd" as well, and here:',
    `  [[resolver.host."${host}".mirrors]]`,
    `    host = "${address}"`,
    ...(scheme === 'http' ? ['    insecure = true'] : []),
    'The snapshotter says neither path nor upstream there, so that this works for the default upstream alone.',
  )
}

export function sociSteps(setup: Setup): Step[] {
  const path = '/etc/soci-snapshotter-grpc/config.toml'
  return [
    ...containerdParts(setup, SOCI),
    ...resolverStep(path, setup, 'soci-snapshotter'),
    ...trustSteps(setup, 'soci-snapshotter'),
    ...loginSteps(setup, 'soci-snapshotter'),
    ...pullSteps(setup, SOCI),
    note(
      'The snapshotter asks the host in the name of the image and no mirror, and waits 3 s: stage images ahead. What it has not',
      'found it does not look for again before it is restarted.',
      `Images that keep their digest (attach on a rule of the server) are found with "[pull_modes.soci_v1] enable = true" in ${path}.`,
    ),
  ]
}

export function nydusSteps(setup: Setup): Step[] {
  return [
    ...containerdParts(setup, NYDUS),
    note(
      '2. How nydusd reaches this server (the file that /etc/nydus/config.toml names as nydusd_config), then systemctl restart',
      'nydus-snapshotter:',
    ),
    file('/etc/nydus/nydusd-config.fusedev.json', nydusdConfig(setup)),
    ...trustSteps(setup, 'nydus-snapshotter'),
    ...loginSteps(setup, 'nydus-snapshotter'),
    ...pullSteps(setup, NYDUS),
    note(
      'nydusd asks the host in the name of the image and no mirror of containerd, and waits 5 s: stage images ahead.',
      'Images that keep their digest (attach on a rule of the server) are found with "[experimental] enable_referrer_detect = true"',
      "in the snapshotter's own configuration, /etc/nydus/config.toml.",
    ),
  ]
}

/** Manifests and configs containerd fetches itself, whatever fetches the layers. */
const HOSTS = '/etc/containerd/certs.d'

function containerdParts(setup: Setup, snapshotter: Snapshotter): Step[] {
  const { name, programs } = snapshotter
  const own = ownHostsToml(setup, HOSTS)
  return [
    note(
      `${name}-snapshotter`,
      'It runs as a service of its own on every node; install and start, if it is not there:',
      ...programs.map((program) => `  ${program}`),
      '',
      '1. containerd must know it; merge this, then restart containerd:',
    ),
    containerdConfig(snapshotter),
    ...(own.length === 0
      ? []
      : [
          note(
            `How containerd itself reaches this server (Kubernetes: config_path = "${HOSTS}" in config.toml):`,
          ),
          ...own,
        ]),
  ]
}

function containerdConfig({ name, socket, criLines }: Snapshotter): Step {
  const cri = [`snapshotter = "${name}"`, 'disable_snapshot_annotations = false', ...criLines]
  return file(
    '/etc/containerd/config.toml',
    `[proxy_plugins.${name}]
  type = "snapshot"
  address = "${socket}"
  [proxy_plugins.${name}.exports]
    enable_remote_snapshot_annotations = "true"

# For Kubernetes, in containerd 2 ([plugins."io.containerd.grpc.v1.cri".containerd] in containerd 1):
# [plugins."io.containerd.cri.v1.images"]
${cri.map((line) => `#   ${line}\n`).join('')}`,
  )
}

/** On loopback plain HTTP is tried anyway, and for HTTPS there is nothing to say. */
function resolverStep(path: string, setup: Setup, service: string): Step[] {
  const { address, scheme } = setup
  if (scheme === 'https' || isLocal(setup)) {
    return [note(`2. ${service} needs no key in ${path} to reach ${address}.`)]
  }
  return [
    note(`2. How the snapshotter reaches this server, then systemctl restart ${service}:`),
    file(
      path,
      `[[resolver.host."${address}".mirrors]]
  host = "${address}"
  insecure = true
`,
    ),
  ]
}

function trustSteps({ scheme, ca }: Setup, service: string): Step[] {
  if (scheme === 'http') return []
  const authority = '/usr/local/share/ca-certificates/crossdock.crt'
  return [
    note('An authority of your own must be one of the machine (Debian; --ca FILE adds it here):'),
    ...(ca === undefined ? [] : [file(authority, ca)]),
    run(`update-ca-certificates && systemctl restart ${service}`),
  ]
}

function loginSteps({ login, address }: Setup, service: string): Step[] {
  if (login === 'mtls') {
    return [note(`${service} shows no client certificate: give it a listener with another login.`)]
  }
  if (login === 'none') return []
  return [
    note(`3. ${service} has the logins of root's Docker configuration, not those of containerd:`),
    run(
      `sudo docker login ${address}      # or nerdctl login; it writes /root/.docker/config.json`,
    ),
  ]
}

function pullSteps({ address, profile, examples }: Setup, { name }: Snapshotter): Step[] {
  const image = `${address}/${examples[0]}-${profile}`
  return [
    note('Then, the first line on this server, so that nobody waits:'),
    run(
      `crossdock stage ${examples[0]}-${profile}`,
      `nerdctl --snapshotter ${name} run --rm ${image}`,
    ),
    note(`Kubernetes: image: ${image}`),
  ]
}

function nydusdConfig({ scheme }: Setup): string {
  const backend = {
    scheme,
    // Without it plain HTTP is not tried where the snapshotter looks for an image by itself.
    ...(scheme === 'http' && { skip_verify: true }),
    timeout: 5,
    connect_timeout: 5,
    retry_limit: 4,
  }
  const config = {
    device: {
      backend: { type: 'registry', config: backend },
      cache: { type: 'blobcache', config: { work_dir: '/var/lib/nydus/cache' } },
    },
    mode: 'direct',
    enable_xattr: true,
  }
  return `${JSON.stringify(config, null, 2)}\n`
}
