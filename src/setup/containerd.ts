/** containerd, and what pulls through it: nerdctl and the nodes of a Kubernetes cluster. */
import { certificateNotes, hostsTomls } from './hosts-toml.ts'
import { belowPathNotes, byNameAlone, note, run, type Setup, type Step } from './setup.ts'

const FOLDER = '/etc/containerd/certs.d'

export function containerdSteps(setup: Setup): Step[] {
  const { address, hosts, examples, profile, login } = setup
  const [host] = hosts
  if (host === undefined) {
    return [
      note('containerd'),
      byNameAlone(setup),
      ...hostsTomls(setup, FOLDER),
      ...certificateNotes(setup, FOLDER),
    ]
  }
  const image = host.name === 'docker.io' ? 'library/alpine:3' : 'REPOSITORY:TAG'
  const user = login === 'htpasswd' ? ' --user NAME:PASSWORD' : ''
  return [
    note(
      'containerd 1.5 and later: one folder per registry, read at each pull, no restart.',
      '/etc/containerd/config.toml must name the folder (it does on most Kubernetes nodes):',
      '  containerd 2:  [plugins."io.containerd.cri.v1.images".registry]',
      '  containerd 1:  [plugins."io.containerd.grpc.v1.cri".registry]',
      `                   config_path = "${FOLDER}"`,
      `By hand: ctr images pull --hosts-dir ${FOLDER} ${host.name}/${image}`,
      `By this server's names: ctr images pull --hosts-dir ${FOLDER}${user} ${address}/${examples[0]}-${profile}`,
    ),
    ...hostsTomls(setup, FOLDER),
    ...certificateNotes(setup, FOLDER),
    ...belowPathNotes(setup, 'hosts.toml'),
    otherLevers(setup),
  ]
}

function otherLevers({ address, scheme, profile }: Setup): Step {
  return note(
    'The same by header instead of path:',
    `  [host."${scheme}://${address}"]`,
    '    capabilities = ["pull", "resolve"]',
    `    [host."${scheme}://${address}".header]`,
    `      Crossdock-Profile = "${profile}"`,
    '',
    'The same with the path behind /v2:',
    `  [host."${scheme}://${address}/v2/as/${profile}"]`,
    '    capabilities = ["pull", "resolve"]',
    '    override_path = true',
  )
}

export function nerdctlSteps(setup: Setup): Step[] {
  const { address, profile, examples, hosts, login } = setup
  const kept = hosts.some(({ name }) => name === 'docker.io') ? ['nerdctl pull alpine:3'] : []
  return [
    note(
      "nerdctl reads containerd's files, without any key in config.toml; rootless from ~/.config/containerd/certs.d.",
    ),
    ...(login === 'htpasswd' ? [run(`nerdctl login ${address}`)] : []),
    run(`nerdctl pull ${address}/${examples[0]}-${profile}`, ...kept),
    ...containerdSteps(setup),
  ]
}

export function kubernetesSteps(setup: Setup): Step[] {
  const { address, profile, scheme, examples, login } = setup
  const [first] = examples
  const image = first === 'alpine:3' ? 'docker.io/library/alpine:3' : first
  const accept =
    scheme === 'http'
      ? 'accept plain HTTP from this address'
      : 'trust the certificate of this address'
  return [
    note(
      "Kubernetes: image names in manifests stay as they are; each node's runtime is set up once.",
      'CRI-O nodes: crossdock config client cri-o',
      'containerd nodes: write the files below on every node (--output DIR makes them), or let the chart do it:',
      'deploy/helm/crossdock with nodes.enabled.',
      'A converted image has its own manifest digest: pin name@sha256:... of the conversion ("crossdock inspect REF"), since a',
      'pinned source digest always brings the source.',
      '',
      'Without touching the nodes, image by image:',
      `  image: ${address}/${image}-${profile}`,
      `for which the runtime must ${accept}.`,
    ),
    ...(login === 'htpasswd'
      ? [
          note(
            'Such images take an imagePullSecret; a mirror gets none, which is why its login stands in hosts.toml.',
          ),
          run(
            `kubectl create secret docker-registry crossdock --docker-server=${address} --docker-username=NAME --docker-password=PASSWORD`,
          ),
        ]
      : []),
    ...containerdSteps(setup),
  ]
}
