/** podman, buildah, skopeo and CRI-O, which share their configuration. */
import { certificateNotes } from './hosts-toml.ts'
import { byNameAlone, file, note, run, type Setup, type Step, type UpstreamHost } from './setup.ts'

const CERTIFICATES = '/etc/containers/certs.d'
const REGISTRIES = '/etc/containers/registries.conf.d/crossdock.conf'

export function podmanSteps(setup: Setup): Step[] {
  const { address, profile, examples, login, hosts, ca } = setup
  return [
    note('podman, buildah, skopeo, CRI-O'),
    ...(hosts.length === 0 ? [byNameAlone(setup)] : []),
    file(REGISTRIES, registriesConf(setup)),
    ...(ca === undefined ? [] : [file(`${CERTIFICATES}/${address}/ca.crt`, ca)]),
    ...certificateNotes(setup, CERTIFICATES),
    note("By hand, by this server's names:"),
    ...(login === 'htpasswd' ? [run(`podman login ${address}`)] : []),
    run(...examples.map((image) => `podman pull ${address}/${image}-${profile}`)),
  ]
}

export function crioSteps(setup: Setup): Step[] {
  const { address, login } = setup
  return [
    note("CRI-O reads podman's files; systemctl reload crio takes a new one."),
    ...(login === 'htpasswd'
      ? [
          note(
            `Its login is global_auth_file in /etc/crio/crio.conf: podman login --authfile FILE ${address} makes one.`,
          ),
        ]
      : []),
    ...podmanSteps(setup),
  ]
}

function registriesConf(setup: Setup): string {
  const { address, scheme, hosts } = setup
  const own = `[[registry]]\nlocation = "${address}"\ninsecure = true\n`
  const parts = [
    ...hosts.map((host) => registryOf(host, setup)),
    ...(scheme === 'http' ? [own] : []),
  ]
  return parts.length === 0 ? `# Nothing is needed for ${address}.\n` : parts.join('\n')
}

/**
 * podman sends neither `ns` nor a header, and takes no port within a name: a host with one goes by the upstream's own name, or is the
 * default upstream.
 */
function registryOf({ name: host, upstream }: UpstreamHost, setup: Setup): string {
  const { address, scheme, profile, defaultUpstream } = setup
  const name = [host, upstream].find((one) => !one.includes(':'))
  if (name === undefined && upstream !== defaultUpstream) {
    return `# ${host}: podman takes no port in a mirror's path; give the upstream a name without one, with "url", and
# pull ${address}/as/${profile}/NAME/REPOSITORY:TAG
`
  }
  const path = name === undefined ? '' : `/${name}`
  return `[[registry]]
prefix = "${host}"
location = "${host}"

[[registry.mirror]]
location = "${address}/as/${profile}${path}"${scheme === 'http' ? '\ninsecure = true' : ''}
`
}
