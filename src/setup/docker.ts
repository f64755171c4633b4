/** Docker: by name, all of Docker Hub, and any registry where it reads containerd's files. */
import { DOCKER_HUB } from '../config/checks.ts'
import { certificateNotes, hostsTomls } from './hosts-toml.ts'
import { file, isLocal, note, run, type Setup, type Step } from './setup.ts'

const FOLDER = '/etc/docker/certs.d'

export function dockerSteps(setup: Setup): Step[] {
  const { address, profile, hosts, examples, login, isZstd } = setup
  const pulls = examples.map((image) => `docker pull ${address}/${image}-${profile}`)
  return [
    note('Docker', `1. By name, one image at a time. ${needOf(setup)}`),
    ...(login === 'htpasswd' ? [run(`docker login ${address}`)] : []),
    run(...pulls),
    ...(isZstd
      ? [
          note(
            'Docker before 23 reads no zstd: there the same command brings the original, and neither fails nor says so.',
            'The header Crossdock-Conversion of the answer does, and the log here: "original; reason=client". A suffix',
            'that every Docker reads is -gzip.',
          ),
        ]
      : []),
    ...daemonSteps(setup),
    ...(hosts.length === 0 ? authority(setup) : anyRegistry(setup)),
    ...certificateNotes(setup, FOLDER),
    ...(login === 'mtls' && isLocal(setup)
      ? [note('Docker shows no certificate to loopback addresses: use a name of this machine.')]
      : []),
  ]
}

/** What has to be there before the first pull. */
function needOf(setup: Setup): string {
  const { address, scheme, ca } = setup
  if (scheme === 'http') {
    return isLocal(setup)
      ? 'Nothing to set up on this machine.'
      : 'For plain HTTP see "insecure-registries" below.'
  }
  return ca === undefined
    ? 'Nothing to set up where its certificate is of an authority that everybody knows.'
    : `Its certificate is trusted by ${FOLDER}/${address}/ca.crt below, without a restart.`
}

function authority({ address, ca }: Setup): Step[] {
  return ca === undefined ? [] : [file(`${FOLDER}/${address}/ca.crt`, ca)]
}

/** Mirrors are asked for names of Docker Hub alone, and without saying so: the default upstream has to be it. */
function daemonSteps({ address, profile, scheme, defaultUpstream, login }: Setup): Step[] {
  const isHub = DOCKER_HUB.has(defaultUpstream)
  // dockerd shows mirrors no credentials.
  const isMirror = isHub && login !== 'htpasswd'
  const settings = {
    ...(isMirror && { 'registry-mirrors': [`${scheme}://${address}/as/${profile}/`] }),
    ...(scheme === 'http' && { 'insecure-registries': [address] }),
  }
  const words = isMirror
    ? [
        '2. All of Docker Hub, names unchanged: merge this into daemon.json, then restart dockerd. Docker 24 and later;',
        `   older ones take no path there and want a listener of their own with "profile: ${profile}".`,
      ]
    : [
        isHub
          ? '2. "registry-mirrors" of dockerd sends no login, which this server asks for.'
          : '2. "registry-mirrors" of dockerd is for Docker Hub alone, which is not the default upstream here.',
        ...(scheme === 'http' ? ['   For plain HTTP, then restart dockerd:'] : []),
      ]
  const lines = Object.entries(settings).map(
    ([key, value]) => `  "${key}": ${JSON.stringify(value)}`,
  )
  return [
    note(...words),
    ...(lines.length === 0
      ? []
      : [file('/etc/docker/daemon.json', `{\n${lines.join(',\n')}\n}\n`)]),
  ]
}

function anyRegistry(setup: Setup): Step[] {
  return [
    note(
      '3. Any registry, names unchanged: Docker 28 and later with the containerd image store (the default of new',
      `   installations of Docker 29) reads containerd's files from ${FOLDER}/HOST/hosts.toml.`,
    ),
    ...hostsTomls(setup, FOLDER),
  ]
}
